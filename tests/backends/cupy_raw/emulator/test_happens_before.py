"""Random programs of accesses and synchronisation, judged by whole vector clocks: a race is found if and only if there is one.

A program is drawn as one order of events in which every wait comes after its store. Each thread does its own events in that
order; whichever way a schedule mixes them, the same is ordered, for each flag is stored to once.
"""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.deep

WRITE, READ, SHARED_WRITE, SHARED_READ, ADD, RELEASE, ACQUIRE, STORE, WAIT, BLOCK, WARP, GRID, CLUSTER, REMOTE, SHUFFLE = range(
    1, 16
)
BLOCKS, THREADS, CELLS = 4, 40, 3  # the second warp has eight lanes
ACTORS = [(block, thread) for block in range(BLOCKS) for thread in (0, 1, 31, 33)]
WARPS = [range(32), range(32, THREADS)]


@st.composite
def events(draw):
    """(code, block, thread, place, value): of one thread, or of all that take part."""
    made, flags, generation = [], 0, 0
    for _ in range(draw(st.integers(1, 60))):
        code = draw(
            st.sampled_from(
                [WRITE, READ, READ, SHARED_WRITE, SHARED_READ, REMOTE, ADD, RELEASE, BLOCK, WARP, SHUFFLE] * 2
                + [STORE, GRID, CLUSTER]
            )
        )
        block, thread = draw(st.sampled_from(ACTORS))
        place = draw(st.integers(0, CELLS - 1))
        if code in (RELEASE, STORE):
            made.append((code, block, thread, flags, 1))
            others = draw(st.lists(st.sampled_from(ACTORS), max_size=3, unique=True))
            made += [(draw(st.sampled_from([ACQUIRE] * 4 + [WAIT])), *other, flags, 1) for other in others]
            flags += 1
        elif code == GRID:
            generation += 1
            made.append((code, -1, -1, 0, generation))
        elif code == REMOTE:
            made.append((code, block, thread, place, draw(st.integers(0, 1))))
        else:
            made.append((code, block, thread, place, 1))
    return made, flags


def participants(code, block, thread):
    if code == GRID:
        return [(b, t) for b in range(BLOCKS) for t in range(THREADS)]
    if code == CLUSTER:
        return [(b, t) for b in (block // 2 * 2, block // 2 * 2 + 1) for t in range(THREADS)]
    if code == BLOCK:
        return [(block, t) for t in range(THREADS)]
    if code in (WARP, SHUFFLE):
        return [(block, t) for t in WARPS[thread // 32]]
    return [(block, thread)]


def has_race(made):
    """By a vector clock for each actor, and every access kept.

    The other threads only take part in barriers, each with all actors of its warp, which then know what it knows.
    """
    clocks = {actor: Counter({actor: 1}) for actor in ACTORS}
    left = {}
    accesses = {}

    def join(threads):
        joined = Counter()
        for thread in threads:
            joined |= clocks[thread]
        for thread in threads:
            clocks[thread] = joined + Counter({thread: 1})

    for code, block, thread, place, value in made:
        me = (block, thread)
        if code in (BLOCK, WARP, GRID, CLUSTER):
            join([actor for actor in participants(code, block, thread) if actor in clocks])
        elif code in (RELEASE, STORE):
            left[place] = clocks[me].copy() if code == RELEASE else Counter()
            clocks[me][me] += 1
        elif code == ACQUIRE:
            clocks[me] |= left[place]
        elif code in (WRITE, READ, ADD, SHARED_WRITE, SHARED_READ, REMOTE):
            owner = {SHARED_WRITE: block, SHARED_READ: block, REMOTE: block // 2 * 2 + value}.get(code, -1)
            writes, atomic = code in (WRITE, SHARED_WRITE, ADD), code == ADD
            for other, clock, other_writes, other_atomic in accesses.setdefault((owner, place), []):
                if (writes or other_writes) and not (atomic and other_atomic) and clocks[me][other] < clock:
                    return True
            accesses[owner, place].append((me, clocks[me][me], writes, atomic))
    return False


def run(bench, made, flags, schedule):
    start = [(SHARED_WRITE, block, 0, cell, 0) for block in range(BLOCKS) for cell in range(CELLS)]
    start += [(CLUSTER, block, 0, 0, 0) for block in (0, 2)]
    end = [(CLUSTER, block, 0, 0, 0) for block in (0, 2)]
    lists = {(b, t): [] for b in range(BLOCKS) for t in range(THREADS)}
    for code, block, thread, place, value in start + made + end:
        if code == WARP:
            value = sum(1 << t % 32 for t in WARPS[thread // 32])
            value -= (value >> 31) << 32
        for who in participants(code, block, thread):
            lists[who].append((code, place, value))
    length = max(map(len, lists.values()))
    program = np.zeros((BLOCKS, THREADS, length, 3), np.int32)
    for (block, thread), operations in lists.items():
        program[block, thread, : len(operations)] = np.array(operations, np.int32).reshape(-1, 3)
    memory = [
        np.zeros(CELLS, np.int32),
        np.zeros(flags + 1, np.uint32),
        np.zeros(1, np.uint32),
        np.zeros((BLOCKS, THREADS), np.int32),
    ]
    findings = bench.find(
        "programs", "run_program", BLOCKS, THREADS, [program, *memory, length, CELLS, flags + 1], shared_bytes=4 * CELLS,
        cooperative=True, cluster=2, schedule=schedule,
    )  # fmt: skip
    return findings, start + made


def test_a_race_is_found_if_and_only_if_there_is_one(bench):
    seen = Counter()

    @given(events(), bench.drawn_schedules())
    @settings(max_examples=300, deadline=None)
    def check(drawn, schedule):
        findings, all_events = run(bench, *drawn, schedule)
        race = has_race(all_events)
        seen[race] += 1
        assert {finding.kind for finding in findings} == ({"race"} if race else set())

    check()
    assert min(seen[True], seen[False]) > 20, seen


@pytest.mark.parametrize("schedule", range(10))
def test_one_program_of_each_order(bench, schedule):
    """Through the barrier of a warp, a flag, a cluster and the grid, one after the other."""
    made = [(WRITE, 0, 1, 0, 1), (WARP, 0, 0, 0, 0), (RELEASE, 0, 31, 0, 1), (ACQUIRE, 2, 33, 0, 1), (READ, 2, 33, 0, 0)]
    made += [
        (BLOCK, 2, 0, 0, 0),
        (WRITE, 2, 0, 0, 1),
        (CLUSTER, 2, 0, 0, 0),
        (READ, 3, 1, 0, 0),
        (GRID, -1, -1, 0, 1),
        (WRITE, 1, 1, 0, 1),
    ]
    for without in (None, 1, 2, 3, 5, 7, 9):
        events_left = [event for i, event in enumerate(made) if i != without and not (without == 2 and i == 3)]
        findings, all_events = run(bench, events_left, 1, bench.schedules[schedule])
        assert has_race(all_events) == (without is not None)
        assert {finding.kind for finding in findings} == ({"race"} if without is not None else set())


def test_a_long_history_of_reads_keeps_the_write_that_a_later_read_may_race_with(bench):
    """Many reads that are ordered after an atomic do not replace it: another read, ordered after neither, is a race."""
    many = 40
    ordered = [(ADD, 0, 1, 0, 1), (RELEASE, 0, 1, 0, 1), (ACQUIRE, 2, 33, 0, 1)]
    ordered += [event for k in range(1, many) for event in ((READ, 2, 33, 0, 0), (RELEASE, 2, 33, k, 1))]
    ordered += [(STORE, 2, 33, many, 1), (WAIT, 3, 1, many, 1)]  # relaxed: the other read comes last, and is not ordered
    for schedule in bench.schedules:
        assert run(bench, ordered, many + 1, schedule)[0] == ()
        findings, _ = run(bench, [*ordered, (READ, 3, 1, 0, 0)], many + 1, schedule)
        assert {finding.kind for finding in findings} == {"race"}
