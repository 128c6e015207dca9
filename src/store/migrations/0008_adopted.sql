-- What was open before the watch began is held as a set that is the same in all workspaces; what each of them held it as
-- is found again by the next plan.
UPDATE change_facts SET facts = '{"adopted":"undecided"' || substr(facts, 87)
    WHERE facts LIKE '{"adopted":{"held":"%';
