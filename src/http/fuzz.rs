//! Answers as a broken or hostile server would give them: real ones, mutated; and what a reader may take
//! of them. `scripts/fuzz` runs the same targets with more inputs.

use allocation_counter::measure;

/// Memory that a reader may have at once, beside so many times its input.
const ALLOWED: u64 = 1024 * 1024;
const TIMES: u64 = 16;

/// Runs a reader over mutated examples. It may neither fall nor take much more memory than its input;
/// how many of them it could read is given back.
pub(crate) fn target(name: &str, examples: &[&[u8]], mut read: impl FnMut(&[u8]) -> bool) -> usize {
    target_of(name, examples, |_, body| read(body))
}

/// The same for a reader that is told which example its input was made from.
pub(crate) fn target_of(
    name: &str,
    examples: &[&[u8]],
    mut read: impl FnMut(usize, &[u8]) -> bool,
) -> usize {
    let each = inputs(20_000).div_ceil(examples.len());
    let mut could = 0;
    for (at, example) in examples.iter().enumerate() {
        for (input, body) in mutated(example, each, seed() + at).enumerate() {
            // What a panic prints names the input that led to it.
            let place = Place { name, example: at, input };
            let mut was_read = false;
            let used = measure(|| was_read = read(at, &body)).bytes_max;
            let allowed = TIMES * body.len() as u64 + ALLOWED;
            assert!(used <= allowed, "{used} bytes for {} of input", body.len());
            could += usize::from(was_read);
            std::mem::forget(place);
        }
    }
    could
}

/// Inputs of one target: so many, or as many as `CROSSWATCH_FUZZ` says.
fn inputs(usual: usize) -> usize {
    number("CROSSWATCH_FUZZ").unwrap_or(usual)
}

/// Where the sequence of mutations begins: always the same, or where `CROSSWATCH_FUZZ_SEED` says.
fn seed() -> usize {
    number("CROSSWATCH_FUZZ_SEED").unwrap_or(0).wrapping_mul(1000)
}

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok()?.parse().ok()
}

struct Place<'a> {
    name: &'a str,
    example: usize,
    input: usize,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Self { name, example, input } = self;
        eprintln!("fuzz: {name}: mutation {input} of example {example}, seed {}", seed());
    }
}

/// So many mutations of an example, always the same.
fn mutated(example: &[u8], count: usize, seed: usize) -> impl Iterator<Item = Vec<u8>> {
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
    let example = example.to_vec();
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
