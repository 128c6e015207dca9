//! Makes a failing case small: steps are left out or made calm while it still fails.

use crate::{Case, Failure, Step};

/// A case that fails as `case` does, with as few steps that matter as can be found. `fails` runs one.
pub fn shrunk(
    case: &Case,
    failure: Failure,
    mut fails: impl FnMut(&Case) -> Option<Failure>,
) -> (Case, Failure) {
    let (mut best, mut failure) = (case.clone(), failure);
    let mut try_with = |best: &mut Case, steps: Vec<Step>| {
        let smaller = Case { seed: best.seed, steps };
        match fails(&smaller) {
            Some(found) => {
                *best = smaller;
                failure = found;
                true
            }
            None => false,
        }
    };
    for calm in [false, true] {
        let mut size = best.steps.len().next_power_of_two() / 2;
        while size > 0 {
            let mut start = 0;
            while start < best.steps.len() {
                let end = (start + size).min(best.steps.len());
                let mut steps = best.steps.clone();
                let part = steps.get_mut(start..end).unwrap_or_default();
                if calm && part.iter().all(|step| step.calm) {
                    start = end;
                    continue;
                }
                if calm {
                    part.iter_mut().for_each(|step| step.calm = true);
                } else {
                    steps.drain(start..end);
                }
                let smaller = try_with(&mut best, steps);
                if calm || !smaller {
                    start = end;
                }
            }
            size /= 2;
        }
    }
    (best, failure)
}
