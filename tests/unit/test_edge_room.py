"""Where every place is taken, the longest idle connection gives way, and health is asked and answered all the same."""

from __future__ import annotations

from test_edge_limits import ASK, House, body, code

GET = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_the_longest_idle_gives_way_and_no_one_whose_answer_is_in_the_making() -> None:
    house = House(answers=False, connections=3)
    (busy, held), (second, longest), (third, later) = (house.connect() for _ in range(3))
    busy.data_received(body(1))
    house.now += 1
    second.data_received(body(1))
    house.asked[-1][0].reply(200, b"ok", b"x", b"")
    house.now += 1
    third.data_received(ASK)  # on its way in
    newcomer, transport = house.connect()
    assert (held.ended, longest.ended, later.ended, transport.ended) == ("", "closed", "", "")
    newcomer.data_received(body(1))
    assert len(house.asked) == 3
    assert len(house.edge.connections) == 3


def test_one_that_asked_since_the_idle_were_looked_for_is_idle_no_more() -> None:
    house = House(answers=False, connections=3)
    held = []
    for _ in range(3):
        house.now += 1
        held.append(house.connect())
    house.connect()
    held[1][0].data_received(body(1))
    house.connect()
    assert [transport.ended for _, transport in held] == ["closed", "", "closed"]


def test_one_that_never_asked_gives_way_too_and_asking_again_makes_nobody_safe() -> None:
    house = House(connections=2)
    (first, early), (_, silent) = house.connect(), house.connect()
    house.now += 5
    first.data_received(body(1))
    house.now += 1
    house.connect()
    assert (early.ended, silent.ended) == ("", "closed")
    house.now += 1
    house.connect()
    assert early.ended == "closed"


def test_where_none_is_idle_only_health_and_metrics_are_answered_and_the_place_is_given_back() -> None:
    house = House(answers=False, connections=2, spare=3)
    for _ in range(2):
        house.connect()[0].data_received(body(1))
    (one, told), (two, refused) = house.connect(), house.connect()
    one.data_received(GET % b"/v2/health/ready")
    request, _ = house.asked[-1]
    request.reply(200, b"ok", b"x", b"")
    assert told.taken.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in told.taken
    two.data_received(body(1))
    assert refused.taken.startswith(b"HTTP/1.1 503")
    assert code(refused) == b"TOO_MANY_CONNECTIONS"
    assert b"\r\nretry-after: 1\r\n" in refused.taken
    assert len(house.asked) == 3


def test_beyond_the_spare_places_nothing_is_taken_in() -> None:
    house = House(answers=False, connections=1, spare=2)
    for _ in range(3):
        house.connect()[0].data_received(ASK)
    assert not house.edge.has_room(0)
    _, refused = house.connect()
    assert refused.ended == "aborted"
    house.edge.connections.pop().connection_lost(None)
    assert house.edge.has_room(0)
    assert not house.edge.has_room(1)


def test_an_attack_of_idle_connections_costs_one_look_and_no_more() -> None:
    house = House(connections=200)
    held = [house.connect() for _ in range(200)]
    looked = [0]

    class Counted(set):
        def __iter__(self):
            looked[0] += 1
            return super().__iter__()

    house.edge.connections = Counted(house.edge.connections)
    house.now += 1
    for _ in range(100):
        house.connect()
    assert sum(transport.ended == "closed" for _, transport in held) == 100
    assert looked[0] == 1
