"""One thing after the other."""

import asyncio
import threading

import pytest

from dood_jax.demo.service import _MOST_WAITING, Busy, JobQueue


def test_everybody_has_a_turn_in_the_order_they_came():
    jobs, done, may_go = JobQueue(), [], threading.Event()

    async def ask(client: str) -> str:
        job = lambda: (may_go.wait(10), done.append(client), client.upper())[-1]
        return await jobs.run(client, job)

    async def all_at_once():
        tasks = [asyncio.create_task(ask(client)) for client in "abc"]
        await asyncio.sleep(0)
        assert [jobs.ahead(client) for client in "abcd"] == [0, 1, 2, 3]
        may_go.set()
        return await asyncio.gather(*tasks)

    assert asyncio.run(all_at_once()) == ["A", "B", "C"]
    assert done == ["a", "b", "c"] and jobs.ahead("d") == 0


def test_never_two_at_a_time():
    jobs, running, most = JobQueue(), [], []

    def job():
        running.append(1)
        most.append(len(running))
        threading.Event().wait(0.01)
        running.pop()

    async def all_at_once():
        await asyncio.gather(*(jobs.run(str(i), job) for i in range(_MOST_WAITING)))

    asyncio.run(all_at_once())
    assert most == [1] * _MOST_WAITING


def test_a_client_has_one_at_a_time_and_the_queue_an_end():
    jobs, may_go = JobQueue(), threading.Event()

    async def crowd():
        tasks = [asyncio.create_task(jobs.run(str(i), lambda: may_go.wait(10))) for i in range(_MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="still being worked on"):
            await jobs.run("3", may_go.wait)
        with pytest.raises(Busy, match="are waiting already"):
            await jobs.run("late", may_go.wait)
        may_go.set()
        await asyncio.gather(*tasks)
        return await jobs.run("3", lambda: "again")

    assert asyncio.run(crowd()) == "again"


def test_what_fails_fails_for_who_asked_and_the_next_is_done():
    jobs = JobQueue()

    async def ask():
        with pytest.raises(ZeroDivisionError):
            await jobs.run("a", lambda: 1 / 0)
        return await jobs.run("a", lambda: 7)

    assert asyncio.run(ask()) == 7


def test_what_nobody_waits_for_any_more_is_left_out():
    jobs, done, may_go = JobQueue(), [], threading.Event()

    async def leave():
        first = asyncio.create_task(jobs.run("a", lambda: may_go.wait(10)))
        second = asyncio.create_task(jobs.run("b", lambda: done.append("b")))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        may_go.set()
        await first
        await jobs.run("c", lambda: done.append("c"))

    asyncio.run(leave())
    assert done == ["c"]
