"""One thing after the other."""

import asyncio
import threading

import pytest

from dood_jax.demo.job_queue import _MOST_WAITING, Busy, Turns


def test_everybody_has_a_turn_in_the_order_they_came():
    turns, done, may_go = Turns(), [], threading.Event()

    async def ask(client: str) -> str:
        job = lambda: (may_go.wait(10), done.append(client), client.upper())[-1]
        return await turns.run(client, job)

    async def all_at_once():
        tasks = [asyncio.create_task(ask(client)) for client in "abc"]
        await asyncio.sleep(0)
        assert [turns.ahead(client) for client in "abcd"] == [0, 1, 2, 3]
        may_go.set()
        return await asyncio.gather(*tasks)

    assert asyncio.run(all_at_once()) == ["A", "B", "C"]
    assert done == ["a", "b", "c"] and turns.ahead("d") == 0


def test_never_two_at_a_time():
    turns, running, most = Turns(), [], []

    def job():
        running.append(1)
        most.append(len(running))
        threading.Event().wait(0.01)
        running.pop()

    async def all_at_once():
        await asyncio.gather(*(turns.run(str(i), job) for i in range(_MOST_WAITING)))

    asyncio.run(all_at_once())
    assert most == [1] * _MOST_WAITING


def test_a_client_has_one_at_a_time_and_the_queue_an_end():
    turns, may_go = Turns(), threading.Event()

    async def crowd():
        tasks = [
            asyncio.create_task(turns.run(str(i), lambda: may_go.wait(10))) for i in range(_MOST_WAITING)
        ]
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="still being worked on"):
            await turns.run("3", may_go.wait)
        with pytest.raises(Busy, match="are waiting already"):
            await turns.run("late", may_go.wait)
        may_go.set()
        await asyncio.gather(*tasks)
        return await turns.run("3", lambda: "again")

    assert asyncio.run(crowd()) == "again"


def test_what_fails_fails_for_who_asked_and_the_next_is_done():
    turns = Turns()

    async def ask():
        with pytest.raises(ZeroDivisionError):
            await turns.run("a", lambda: 1 / 0)
        return await turns.run("a", lambda: 7)

    assert asyncio.run(ask()) == 7


def test_what_nobody_waits_for_any_more_is_left_out():
    turns, done, may_go = Turns(), [], threading.Event()

    async def leave():
        first = asyncio.create_task(turns.run("a", lambda: may_go.wait(10)))
        second = asyncio.create_task(turns.run("b", lambda: done.append("b")))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        may_go.set()
        await first
        await turns.run("c", lambda: done.append("c"))

    asyncio.run(leave())
    assert done == ["c"]
