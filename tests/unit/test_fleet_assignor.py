"""How the slots are divided: balanced, sticky, deterministic."""

from collections.abc import Collection, Mapping

from hypothesis import given
from hypothesis import strategies as st

from bridge.fleet.assignor import Claim, assign

NUMBERS = st.integers(min_value=0, max_value=40)
MEMBERS = st.text("abcdef", min_size=1, max_size=3)
CLAIMS = st.dictionaries(
    MEMBERS,
    st.builds(Claim, st.integers(0, 5), st.frozensets(st.integers(-3, 45)), st.just(value=True)),
    min_size=1,
    max_size=8,
)
BUSY = st.frozensets(st.integers(0, 40))


def claims_of(given_slots: Mapping[str, Collection[int]], epoch: int = 1) -> dict[str, Claim]:
    return {member: Claim(epoch, frozenset(slots)) for member, slots in given_slots.items()}


def spread(given_slots: Mapping[str, Collection[int]], among: Collection[int]) -> int:
    counts = [len(set(slots) & set(among)) for slots in given_slots.values()]
    return max(counts) - min(counts)


@given(CLAIMS, NUMBERS, BUSY)
def test_each_slot_has_one_owner_and_shares_are_even(
    claims: dict[str, Claim], slots: int, busy: frozenset[int]
) -> None:
    """Each slot goes to exactly one member; shares differ by one slot at most, of the busy slots alone, too."""
    assignment = assign(claims, slots, busy)
    assert assignment.keys() == claims.keys()
    assert sorted(slot for own in assignment.values() for slot in own) == list(range(slots))
    assert spread(assignment, range(slots)) <= 1
    assert spread(assignment, [slot for slot in range(slots) if slot in busy]) <= 1


@given(CLAIMS, NUMBERS, BUSY)
def test_an_even_assignment_stays(claims: dict[str, Claim], slots: int, busy: frozenset[int]) -> None:
    """Where nothing has changed nothing moves."""
    before = assign(claims, slots, busy)
    assert assign(claims_of(before), slots, busy) == before


@given(CLAIMS, NUMBERS, st.randoms())
def test_the_order_of_the_members_does_not_count(claims: dict[str, Claim], slots: int, random: object) -> None:
    """The same claims in any order give the same assignment."""
    names = list(claims)
    random.shuffle(names)  # type: ignore[attr-defined]
    assert assign({name: claims[name] for name in names}, slots) == assign(claims, slots)


@given(CLAIMS, NUMBERS, st.booleans())
def test_who_stays_keeps_its_slots_when_another_leaves(
    claims: dict[str, Claim],
    slots: int,
    all_busy: bool,  # noqa: FBT001 -- hypothesis
) -> None:
    """When a member leaves, only its slots move."""
    busy = range(slots) if all_busy else ()
    before = assign(claims, slots, busy)
    left = {member: own for member, own in before.items() if member != min(before)}
    after = assign(claims_of(left), slots, busy)
    assert all(left[member] <= own for member, own in after.items())


@given(CLAIMS, NUMBERS, st.booleans())
def test_a_newcomer_takes_only_its_share(
    claims: dict[str, Claim],
    slots: int,
    all_busy: bool,  # noqa: FBT001 -- hypothesis
) -> None:
    """When a member joins, a slot stays or goes to the newcomer, which gets the smaller share at the most."""
    busy = range(slots) if all_busy else ()
    before = assign(claims, slots, busy)
    after = assign(claims_of(before) | {"newcomer": Claim(0, frozenset())}, slots, busy)
    assert all(after[member] <= own for member, own in before.items())
    assert len(after["newcomer"]) == slots // len(after)


@given(CLAIMS, NUMBERS, BUSY)
def test_busy_slots_move_as_little_as_they_can(claims: dict[str, Claim], slots: int, busy: frozenset[int]) -> None:
    """A newcomer takes its share of the busy slots, and no busy slot moves between the others."""
    before = assign(claims, slots, busy)
    after = assign(claims_of(before) | {"newcomer": Claim(0, frozenset())}, slots, busy)
    assert all(after[member] & busy <= own for member, own in before.items())
    assert len(after["newcomer"] & busy) == len(busy & set(range(slots))) // len(after)


@given(CLAIMS, NUMBERS, BUSY)
def test_nothing_moves_where_nobody_reaches_web_services(
    claims: dict[str, Claim], slots: int, busy: frozenset[int]
) -> None:
    """In an outage that all members share the assignment is the one without an outage."""
    unable = {member: claim._replace(able=False) for member, claim in claims.items()}
    assert assign(unable, slots, busy) == assign(claims, slots, busy)


@given(CLAIMS, NUMBERS, BUSY)
def test_who_does_not_reach_web_services_gets_nothing(
    claims: dict[str, Claim], slots: int, busy: frozenset[int]
) -> None:
    """The members that reach Web Services share all slots, evenly, and the others get none."""
    able = dict(claims)
    unable = able.pop(min(claims))
    assignment = assign(able | {min(claims): unable._replace(able=False)}, slots, busy)
    if able:
        assert assignment.pop(min(claims)) == frozenset()
        assert assignment == assign(able, slots, busy)


def test_one_busy_slot_stays_when_replicas_join() -> None:
    """The one account of a fleet stays where it is while replicas come, and while others go."""
    assignment = assign({"a": Claim(0, frozenset())}, 16, {11})
    for newcomer in ("0", "z", "m"):
        assignment = assign(claims_of(assignment) | {newcomer: Claim(0, frozenset())}, 16, {11})
        assert 11 in assignment["a"]
    del assignment["0"]
    assert 11 in assign(claims_of(assignment), 16, {11})["a"]


def test_the_newer_claim_counts() -> None:
    """Of two members that claim the same slot the one with the newer assignment keeps it."""
    both = frozenset(range(2))
    woken = {"a": Claim(3, both), "b": Claim(7, frozenset({0})), "c": Claim(7, frozenset({1}))}
    assert assign(woken, 3) == {"a": frozenset({2}), "b": frozenset({0}), "c": frozenset({1})}


def test_nobody_gets_nothing() -> None:
    """Without members there is no assignment, and without slots each member has none."""
    assert assign({}, 16) == {}
    assert assign({"a": Claim(0, frozenset())}, 0) == {"a": frozenset()}
