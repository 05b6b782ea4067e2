"""The guards, one mutant each (or more): what stands in the tree, what stands there instead, and who must notice."""

from tests.mutants import Change, Mutant

_BATCHES = "outbox/sql/batches.sql"
_CANCELLATION = "outbox/sql/cancellation.sql"
_CLAIMS = "outbox/sql/claims.sql"
_METRICS = "campaigns/sql/metrics.sql"
_GUARD = "migrations/fleet/20260201000500_guard.sql"
_STARTS = "outbox/sql/starts.sql"

_MACHINE = "tests/integration/test_ledger_machine.py"
_OF_BATCHES = "tests/integration/test_batches.py"
_OF_CANCELLATION = "tests/integration/test_cancellation.py"
_OF_CLAIMS = "tests/integration/test_claims.py"
_OF_METRICS = "tests/integration/test_campaign_metrics.py"
_OF_SETTLEMENTS = "tests/integration/test_settlements.py"
_OF_STARTS = "tests/integration/test_starts.py"

GUARDS = (
    Mutant(
        "two relays claim the same message",
        (
            Change(_CLAIMS, "        FOR UPDATE OF o SKIP LOCKED\n    ) AS o\n", "    ) AS o\n"),
            Change(
                _CLAIMS,
                "WHERE o.id = ANY (ARRAY(SELECT due.id FROM due)) AND o.status = 'scheduled'",
                "WHERE o.id = ANY (ARRAY(SELECT due.id FROM due))",
            ),
        ),
        (f"{_OF_CLAIMS}::test_relays_at_work_together_never_take_the_same_message",),
    ),
    Mutant(
        "a relay gives back what another has claimed",
        (
            Change(
                _CLAIMS,
                "AND o.status IS NOT DISTINCT FROM 'queued' AND o.lease_token = %(token)s\nRETURNING o.id",
                "AND o.status IS NOT DISTINCT FROM 'queued'\nRETURNING o.id",
            ),
        ),
        (_OF_CLAIMS,),
    ),
    Mutant(
        "a start sends to whom nobody may",
        (
            Change(
                _STARTS,
                "WHEN EXISTS (\n            SELECT\n            FROM fleet.suppressions s",
                "WHEN false AND EXISTS (\n            SELECT\n            FROM fleet.suppressions s",
            ),
        ),
        (_OF_STARTS,),
    ),
    Mutant(
        "a start passes a pause",
        (
            Change(
                _STARTS,
                "WHEN EXISTS (\n            SELECT\n            FROM fleet.pauses p",
                "WHEN false AND EXISTS (\n            SELECT\n            FROM fleet.pauses p",
            ),
        ),
        (_OF_STARTS, _OF_CANCELLATION),
    ),
    Mutant(
        "a start sends what is out of date",
        (Change(_STARTS, "WHEN o.expires_at <= fleet.now() THEN 'expired'", "WHEN false THEN 'expired'"),),
        (_OF_STARTS,),
    ),
    Mutant(
        "a start passes under a claim that ran out",
        (
            Change(
                _STARTS,
                "  AND o.lease_expires_at > fleet.now()\n  AND o.xmin::text = w.seen\n",
                "  AND o.xmin::text = w.seen\n",
            ),
        ),
        (_OF_STARTS,),
    ),
    Mutant(
        "a start sends a row that changed since it was rendered",
        (Change(_STARTS, "  AND o.xmin::text = w.seen\n", ""),),
        (_OF_STARTS,),
    ),
    Mutant(
        "anybody starts anything",
        (
            Change(
                _STARTS,
                "WHERE o.status IS NOT DISTINCT FROM 'queued'\n  AND o.lease_token = %(token)s\n"
                "  AND o.lease_expires_at > fleet.now()\n  AND o.xmin::text = w.seen\n",
                "",
            ),
            Change(
                _STARTS,
                "WHERE o.id = d.id AND o.status IS NOT DISTINCT FROM 'queued' AND o.lease_token = %(token)s",
                "WHERE o.id = d.id",
            ),
        ),
        (f"{_OF_STARTS}::test_a_stale_bundle_starts_nothing", _MACHINE),
    ),
    Mutant(
        "a request begins when its lease is nearly over",
        (Change("workers/flight.py", "if not flight.lease.allows_request():", "if False:"),),
        ("tests/integration/test_send.py::test_a_request_does_not_begin_when_its_lease_is_nearly_over",),
    ),
    Mutant(
        "what was paused after its start leaves all the same",
        (Change("workers/pauses.py", "return min(self._standing & frozenset(scopes()), default=None)", "return None"),),
        ("tests/integration/test_pauses.py::test_what_has_started_and_not_left_is_given_back",),
    ),
    Mutant(
        "a lease is believed in to its last moment",
        (
            Change(
                "workers/lease.py", "self.deadline - self.clock() > self.seconds / 4", "self.deadline > self.clock()"
            ),
        ),
        ("tests/integration/test_search.py",),
    ),
    Mutant(
        "a refused replay is believed",
        (
            Change(
                "workers/outcomes.py", "    if not tainted or isinstance(outcome,", "    if True or isinstance(outcome,"
            ),
        ),
        ("tests/unit/test_outcomes.py", "tests/integration/test_replay.py"),
    ),
    Mutant(
        "a settlement counts under a lost lease",
        (Change(_STARTS, "    WHERE b.lease_token = a.lease\n    ORDER BY b.send_key", "    ORDER BY b.send_key"),),
        (_OF_SETTLEMENTS, _OF_BATCHES),
    ),
    Mutant(
        "a vendor's answer poisons its neighbours",
        (
            Change(
                "outbox/settlements.py",
                "        if len(settlements) <= 1:\n            return await _without(",
                "        raise\n        if len(settlements) <= 1:\n            return await _without(",
            ),
        ),
        (_OF_SETTLEMENTS,),
    ),
    Mutant(
        "U+0000 reaches the database",
        (Change("outbox/storable.py", 'str(value).replace("\\x00", "")', "str(value)"),),
        ("tests/unit/test_storable.py",),
    ),
    Mutant(
        "a batch is taken from a worker that lives",
        (
            Change(
                _BATCHES,
                "WHERE b.lease_token IS NOT NULL AND b.lease_expires_at < fleet.now()"
                " - make_interval(secs => %(margin_seconds)s)",
                "WHERE b.lease_token IS NOT NULL AND %(margin_seconds)s > 0",
            ),
        ),
        (_OF_BATCHES, _MACHINE),
    ),
    Mutant(
        "a replay carries what may be scheduled again",
        (Change(_BATCHES, "AND a.outcome NOT IN ('accepted', 'unknown')", "AND a.outcome IS NULL"),),
        (_OF_BATCHES, _MACHINE),
    ),
    Mutant(
        "two workers replay one batch",
        (
            Change(
                _BATCHES,
                "WHERE b.send_key = %(send_key)s AND b.lease_token = %(token)s AND b.lease_expires_at > fleet.now()",
                "WHERE b.send_key = %(send_key)s AND %(token)s::uuid IS NOT NULL",
            ),
        ),
        (_OF_BATCHES, _MACHINE),
    ),
    Mutant(
        "a batch is replayed under other credentials",
        (
            Change(
                "workers/replay.py",
                "if isinstance(account, Halted) or account.fingerprint != found.account:",
                "if isinstance(account, Halted):",
            ),
        ),
        ("tests/integration/test_replay.py::test_under_another_key_nothing_is_replayed",),
    ),
    Mutant(
        "a start passes while its scope is cancelled",
        (Change(_CANCELLATION, "VALUES (%(scope_key)s, 'cancel', %(reason)s,", "VALUES ('', 'cancel', %(reason)s,"),),
        (f"{_OF_CANCELLATION}::test_from_the_mark_on_nothing_of_the_scope_starts",),
    ),
    Mutant(
        "a cancel does not wait for what is being sent",
        (
            Change(
                "outbox/cancellation.py", "while under_way := await sending(", "while under_way := 0 and await sending("
            ),
        ),
        (_OF_CANCELLATION,),
    ),
    Mutant(
        "two look-ups take one record of the vendor",
        (
            Change(
                "workers/reconcile.py",
                "if record.provider_message_id not in known]",
                "if known is not None]",
            ),
        ),
        ("tests/integration/test_reconcile.py::test_two_alike_to_one_number_and_the_vendor_took_only_one",),
    ),
    Mutant(
        "one record is matched with two attempts",
        (
            Change(
                "workers/matching.py",
                "if id_ not in holders or _place(holders[id_], unmarked, holders, tried):",
                "if id_ not in holders or True:",
            ),
        ),
        ("tests/unit/test_matching.py",),
    ),
    Mutant(
        "something starts to a recipient that is looked up",
        (Change(_STARTS, "AND u.waits_for = 'look'", "AND u.waits_for = 'nothing'"),),
        ("tests/integration/test_unknowns.py::test_no_start_to_a_recipient_that_is_looked_up",),
    ),
    Mutant(
        "absence counts before the horizon",
        (
            Change(
                "outbox/sql/unknowns.sql",
                "AND fleet.now() >= u.ended_at + make_interval(secs => %(horizon_seconds)s)",
                "AND fleet.now() >= u.ended_at + 0 * make_interval(secs => %(horizon_seconds)s)",
            ),
        ),
        ("tests/integration/test_unknowns.py::test_three_quick_looks_before_the_horizon_decide_nothing",),
    ),
    Mutant(
        "a campaign's figures hold messages of others that name it",
        (
            Change(
                _METRICS,
                "coalesce(o.workspace_id, o.tenant_id) = c.workspace_id\n",
                "true OR coalesce(o.workspace_id, o.tenant_id) = c.workspace_id\n",
            ),
        ),
        (f"{_OF_METRICS}::test_only_messages_of_the_campaigns_own_workspace_count",),
    ),
    Mutant(
        "two schedulers count one campaign at once",
        (Change(_METRICS, "WHERE pg_try_advisory_xact_lock(", "WHERE true OR pg_try_advisory_xact_lock("),),
        (f"{_OF_METRICS}::test_what_changes_while_it_is_counted_is_counted_afterwards",),
    ),
    Mutant(
        "demonstration figures are overwritten",
        (
            Change(_METRICS, "    WHERE f.data_mode::text = 'real'\n    ORDER BY", "    ORDER BY"),
            Change(_METRICS, "WHERE f.id = t.id AND f.data_mode::text = 'real'", "WHERE f.id = t.id"),
        ),
        (f"{_OF_METRICS}::test_demonstration_figures_and_other_columns_stay_as_they_are",),
    ),
    Mutant(
        "a continued process goes on",
        (
            Change(
                "workers/fence.py",
                'ctypes.cast(libc["_exit"], ctypes.c_void_p)',
                "ctypes.c_void_p(0)",
            ),
        ),
        ("tests/unit/test_fence.py",),
    ),
    Mutant(
        "a settlement overlooks proof that is being committed",
        (
            Change(
                "outbox/settlements.py",
                "if not any(settlement.tried_before",
                "if True or not any(settlement.tried_before",
            ),
        ),
        ("tests/integration/test_settle_race.py",),
    ),
    Mutant(
        "anybody may reset the ledger",
        (Change(_GUARD, "FOR EACH ROW WHEN (current_user <> 'fleet') EXECUTE", "FOR EACH ROW WHEN (false) EXECUTE"),),
        ("tests/integration/test_guard_people.py::test_a_member_who_schedules_a_sent_message_again_is_refused",),
    ),
    Mutant(
        "a promise goes with its row",
        (Change(_GUARD, "IF EXISTS (SELECT FROM fleet.promises", "IF false AND EXISTS (SELECT FROM fleet.promises"),),
        ("tests/integration/test_guard_promises.py::test_the_same_insert_after_archiving_sends_nothing",),
    ),
)
