//! Answers as a broken or hostile server would give them: real ones, mutated.

/// So many mutations of an example, always the same.
pub(super) fn mutations(example: &str, count: usize, seed: usize) -> impl Iterator<Item = Vec<u8>> {
    const PIECES: [&str; 16] = [
        "null",
        "\"",
        "{",
        "}",
        "[",
        "]",
        "-1",
        "1e999",
        "18446744073709551616",
        "\\ud800",
        "\0",
        ",",
        ":",
        "true",
        "\"ghost\"",
        "é",
    ];
    let mut state = u64::try_from(seed).unwrap_or(0).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below.max(1)).unwrap_or(1)).unwrap_or(0)
    };
    let example = example.as_bytes().to_vec();
    (0..count).map(move |_| {
        let mut body = example.clone();
        for _ in 0..=random(3) {
            let at = random(body.len());
            match random(6) {
                0 => body.truncate(at),
                1 => body[at..].iter_mut().take(1).for_each(|byte| *byte ^= 1 << random(8)),
                2 => {
                    let end = body.len().min(at + random(40));
                    body.drain(at..end);
                }
                3 => {
                    let end = body.len().min(at + random(200));
                    let again = body[at..end].to_vec();
                    body.splice(at..at, again);
                }
                _ => {
                    // A whole value becomes another one, so that the rest can still be read.
                    let piece = PIECES[random(PIECES.len())];
                    let from = body[at..].iter().position(|byte| *byte == b':').map(|n| at + n + 1);
                    let to = from.and_then(|from| {
                        let length = body[from..].iter().position(|b| matches!(b, b',' | b'}'))?;
                        Some((from, from + length))
                    });
                    if let Some((from, to)) = to {
                        body.splice(from..to, piece.bytes());
                    }
                }
            }
        }
        body
    })
}

/// Inputs of one target: so many, or as many as `CROSSWATCH_FUZZ` says.
pub(super) fn inputs(usual: usize) -> usize {
    let wanted = std::env::var("CROSSWATCH_FUZZ").ok().and_then(|count| count.parse().ok());
    wanted.unwrap_or(usual)
}
