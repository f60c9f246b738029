"""What encoding costs beside its bare parts: one query, many documents, queries of many threads.

    python benchmarks/encoding.py [--rounds 200] [--documents 256] [--check] [--json]

A query is set beside a bare forward pass of ONNX Runtime on the same graph with its tokenizing, on
one thread and on as many as it takes by itself; documents beside `SentenceTransformer.encode` with
the best of several batch sizes. Every round asks in each way once, in random order, in one process
and with the same weights, because absolute times of shared machines mean little: the figures are
ratios of medians, each with the 95 % interval of a bootstrap over rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

from agentmem import SentenceTransformerEmbedder
from agentmem.embedding.exports import cache_folder, export_key
from agentmem.embedding.onnx import GRAPH, TOKENIZER
from agentmem.embedding.threads import usable_cores
from agentmem.embedding.weights import bundled_folder

BATCHES = (4, 8, 16, 32, 64)  # of SentenceTransformer.encode; 32 is its default
TRIED = 64  # documents that each batch size is tried on
CLIENTS = (1, 2, 4, 8, 16)
SECONDS = 3.0  # that clients ask for
TARGETS = {"query": 1.4, "documents": 1.3}
RESAMPLES = 2_000
WORDS = ("the", "ferry", "leaves", "at", "nine", "from", "our", "harbour", "where", "ada", "lives")

Ways = Mapping[str, Callable[[Any], Any]]


def text(rng: random.Random, *, words: int) -> str:
    """Write a text of about so many words that no cache knows."""
    count = max(1, round(rng.gauss(words, words / 4)))
    return " ".join([*rng.choices(WORDS, k=count), str(rng.randrange(10**6))])


def bare(folder: Path, *, threads: int) -> Callable[[str], Any]:
    """Return a tokenizer and a session, and nothing else."""
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.no_padding()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        str(folder / GRAPH), options, providers=["CPUExecutionProvider"]
    )

    def run(asked: str) -> Any:
        ids = np.array([tokenizer.encode(asked).ids])
        mask, types = np.ones_like(ids), np.zeros_like(ids)
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        return session.run(None, given)[0]

    return run


def measured(
    ways: Ways, *, texts: Callable[[], Any], rounds: int, rng: random.Random
) -> dict[str, list[float]]:
    """Milliseconds of each way, by rounds; the same texts in a round."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for place in range(-2, rounds):  # the first rounds warm up
        asked = texts()
        for name in rng.sample(list(ways), len(ways)):
            start = time.perf_counter()
            ways[name](asked)
            if place >= 0:
                found[name].append((time.perf_counter() - start) * 1e3)
    return found


def ratio(over: Sequence[float], under: Sequence[float], *, seed: int = 0) -> dict[str, float]:
    """The ratio of medians and its 95 % interval."""
    pair = np.array([under, over])
    draws = np.random.default_rng(seed).integers(0, pair.shape[1], (RESAMPLES, pair.shape[1]))
    medians = np.median(pair[:, draws], axis=2)
    low, high = np.percentile(medians[1] / medians[0], [2.5, 97.5])
    middle = statistics.median(over) / statistics.median(under)
    return {"ratio": round(middle, 3), "low": round(float(low), 3), "high": round(float(high), 3)}


def best_batch(model: SentenceTransformer, texts: list[str]) -> int:
    """Return the batch size that encodes fastest here: the least of two times each."""
    times = {}
    for _ in range(2):
        for size in BATCHES:
            start = time.perf_counter()
            model.encode(texts, batch_size=size)
            spent = time.perf_counter() - start
            times[size] = min(spent, times.get(size, spent))
    return min(times, key=lambda size: times[size])


def throughput(embedder: SentenceTransformerEmbedder, *, clients: int, seconds: float) -> float:
    """Queries a second of so many threads that ask one after another."""
    end = time.perf_counter() + seconds

    def ask(seed: int) -> int:
        rng, asked = random.Random(seed), 0  # noqa: S311 (texts, not secrets)
        while time.perf_counter() < end:
            embedder.embed([text(rng, words=10)], kind="query")
            asked += 1
        return asked

    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(ask, range(clients))) / seconds


def main() -> None:
    """Measure, print, and write results as JSON."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=200, help="of queries")
    options.add_argument("--documents", type=int, default=256, help="of a round, in 5 rounds")
    options.add_argument("--seconds", type=float, default=SECONDS, help="that clients ask for")
    options.add_argument("--check", action="store_true", help="fail where a target is missed")
    options.add_argument("--json", action="store_true", help="print the report as JSON alone")
    options.add_argument("--out", type=Path, default=Path("results"))
    given = options.parse_args()
    report = measure(given)
    given.out.mkdir(parents=True, exist_ok=True)
    written = json.dumps(report, indent=2)
    (given.out / "encoding.json").write_text(written + "\n")
    print(written if given.json else shown(report))
    figures = report["figures"]
    missed = [
        *(["query"] if figures["query"]["ratio"] > TARGETS["query"] else []),
        *(["documents"] if figures["documents"]["ratio"] < TARGETS["documents"] else []),
    ]
    if given.check and missed:
        sys.exit(f"missed: {', '.join(missed)}")


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Measure queries, documents and clients."""
    rng = random.Random(0)  # noqa: S311 (texts, not secrets)
    folder = bundled_folder()
    if folder is None:
        sys.exit("install the extra 'offline'")
    embedder = SentenceTransformerEmbedder(engine="onnx")
    embedder.warm_up()
    graph = cache_folder() / export_key(folder, runtime=onnxruntime.__version__)
    model = SentenceTransformer(str(folder), device="cpu")
    in_torch = SentenceTransformerEmbedder(engine="torch", device="cpu")
    one, many = bare(graph, threads=1), bare(graph, threads=usable_cores())
    queries = measured(
        {
            "bare, one thread": one,
            "bare, all threads": many,
            "agentmem": lambda asked: embedder.embed([asked], kind="query"),
            "agentmem in torch": lambda asked: in_torch.embed([asked], kind="query"),
            "SentenceTransformer.encode": model.encode,
        },
        texts=lambda: text(rng, words=10),
        rounds=given.rounds,
        rng=rng,
    )
    some = [text(rng, words=rng.choice((5, 20, 60))) for _ in range(TRIED)]
    size = best_batch(model, some)
    documents = measured(
        {
            "agentmem": lambda asked: embedder.embed(asked, kind="document"),
            "agentmem in torch": lambda asked: in_torch.embed(asked, kind="document"),
            "SentenceTransformer.encode": lambda asked: model.encode(asked, batch_size=size),
        },
        texts=lambda: [text(rng, words=rng.choice((5, 20, 60))) for _ in range(given.documents)],
        rounds=5,
        rng=rng,
    )
    fastest = min("bare, one thread", "bare, all threads", key=lambda way: median(queries[way]))
    packages = ("onnxruntime", "sentence-transformers", "tokenizers", "torch")
    return {
        "rounds": given.rounds,
        "documents": given.documents,
        "batch size of encode": size,
        "machine": platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "versions": {package: version(package) for package in packages},
        "query ms": {way: median(times) for way, times in queries.items()},
        "documents ms": {way: median(times) for way, times in documents.items()},
        "bare": fastest,
        "figures": {
            "query": ratio(queries["agentmem"], queries[fastest]),
            "query in torch": ratio(queries["agentmem in torch"], queries[fastest]),
            "documents": ratio(documents["SentenceTransformer.encode"], documents["agentmem"]),
        },
        "targets": TARGETS,
        "queries a second by clients": {
            clients: round(throughput(embedder, clients=clients, seconds=given.seconds), 1)
            for clients in CLIENTS
        },
    }


def median(times: Sequence[float]) -> float:
    """The median, rounded."""
    return round(statistics.median(times), 3)


def shown(report: Mapping[str, Any]) -> str:
    """Lay the report out as Markdown."""
    figures, clients = report["figures"], report["queries a second by clients"]
    lines = [f"{report['cores']} cores, load {report['load']}", ""]
    lines += ["| | ms a query |", "|---|---|"]
    lines += [f"| {way} | {spent} |" for way, spent in report["query ms"].items()]
    lines += ["", f"| | ms for {report['documents']} documents |", "|---|---|"]
    lines += [f"| {way} | {spent} |" for way, spent in report["documents ms"].items()]
    lines += ["", "| | ratio | 95 % | target |", "|---|---|---|---|"]
    about = {
        "query": (f"a query, to {report['bare']}", f"<= {TARGETS['query']}"),
        "query in torch": ("the same in torch", ""),
        "documents": (
            f"documents, over encode with batches of {report['batch size of encode']}",
            f">= {TARGETS['documents']}",
        ),
    }
    for name, (what, target) in about.items():
        one = figures[name]
        lines.append(f"| {what} | {one['ratio']} | {one['low']} – {one['high']} | {target} |")
    lines += ["", "| clients | queries a second |", "|---|---|"]
    lines += [f"| {count} | {rate} |" for count, rate in clients.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
