//! The ten invariants of the design, a file each. `tests/planted/` has a fault for each of them that
//! its file catches; `scripts/planted` shows that.

mod broken_parts_delay_nobody;
mod crash_loses_and_doubles_nothing;
mod every_decision_is_explained;
mod failure_is_not_emptiness;
mod hints_are_not_believed;
mod incremental_equals_scratch;
mod no_process_outlives_its_run;
mod one_question_a_cycle;
mod secrets_stay_secret;
mod untrusted_code_waits;
