"""The script that makes the table of processor time out of perf's stacks (`bench/run profile`)."""

import importlib.util
import sys

import pytest

from conftest import ROOT, run

SCRIPT = ROOT / "bench/processor_time.py"
specification = importlib.util.spec_from_file_location("processor_time", SCRIPT)
processor_time = importlib.util.module_from_spec(specification)
specification.loader.exec_module(processor_time)


@pytest.mark.parametrize(
    ("function", "row"),
    [
        ("tcp_sendmsg_locked_[k]", "the kernel (sockets, wake-ups)"),
        ("_raw_spin_unlock_irqrestore_[k]", "the kernel (sockets, wake-ups)"),
        ("_mi_theap_realloc_zero", "the allocator"),
        ("mi_free", "the allocator"),
        ("__rust_dealloc", "the allocator"),
        ("__memmove_avx_unaligned_erms", "copies and comparisons of memory"),
        ("hyper::proto::h1::role::parse_headers", "HTTP (hyper, axum, tower)"),
        ("<hyper_util::server::conn::auto::Connection<I,S,E> as core::future::future::Future>::poll", "HTTP (hyper, axum, tower)"),
        # The type decides, and where it is a parameter the trait does.
        ("<axum::middleware::from_fn::FromFn<F,S,I,(T1,T2)> as tower_service::Service<R>>::call", "HTTP (hyper, axum, tower)"),
        ("<F as axum::handler::Handler<(M,T1,T2,T3,T4),S>>::call::{{closure}}", "HTTP (hyper, axum, tower)"),
        ("<&mut serde_json::de::Deserializer<R> as serde_core::de::Deserializer>::deserialize_any", "JSON"),
        ("rmcp::model::_::<impl serde_core::ser::Serialize for rmcp::model::ClientRequest>::serialize", "rmcp"),
        ("tokio::runtime::task::raw::poll", "the runtime (tokio)"),
        ("tokio_postgres::query::query::{{closure}}", "the client of PostgreSQL"),
        ("redis::aio::multiplexed_connection::Pipeline::send_recv", "the client of Redis"),
        ("<tracing::instrument::Instrumented<T> as core::future::future::Future>::poll", "tracing and the request log"),
        ("memory_bank_server::http::redis::limiter::RedisLimiter::count::{{closure}}", "the server itself"),
        ("core::ptr::drop_in_place<memory_bank_postgres::edit_groups::Slot>", "the server itself"),
        ("sha2::sha256::x86::compress", "hashes and random numbers"),
        ("tokio[1a2b3c]::task::spawn", "the runtime (tokio)"),
        # Names that tell nothing.
        ("core::fmt::write", None),
        ("[unknown]", None),
        ("alloc::str::<impl str>::replace", None),
    ],
)
def test_a_function_has_a_row_by_its_name(function, row):
    assert processor_time.row_of(function) == row


def test_a_function_of_the_standard_library_counts_for_its_caller():
    of = processor_time.row_of_stack
    assert of(["tokio-rt-worker", "tokio::park", "memory_bank_core::text::of", "core::fmt::write"]) == "the server itself"
    assert of(["tokio-rt-worker", "serde_json::to_string", "mi_malloc"]) == "the allocator"
    assert of(["tokio-rt-worker", "[unknown]", "core::fmt::write"]) == "other"
    # The name of the thread is no function.
    assert of(["tokio::thread", "[unknown]"]) == "other"


def test_stacks_become_a_table(tmp_path):
    read, edit = tmp_path / "read.folded", tmp_path / "edit.folded"
    read.write_text("worker;tokio::run;serde_json::de::from_slice 3\nworker;tokio::run 1\nworker;start_[k];tcp_ack_[k] 4\n")
    edit.write_text("worker;tokio::run 1\nworker;[unknown] 1\n")
    assert run(sys.executable, SCRIPT, read, edit).stdout.splitlines() == [
        "| | read | edit |",
        "|---|---:|---:|",
        "| the kernel (sockets, wake-ups) | 50 % | 0 % |",
        "| JSON | 38 % | 0 % |",
        "| the runtime (tokio) | 12 % | 50 % |",
        "| other | 0 % | 50 % |",
        "",
        "The largest function by itself, outside of the kernel:",
        "",
        "- read: `serde_json::de::from_slice`, 37.5 %",
        "- edit: `tokio::run`, 50.0 %",
    ]


def test_what_is_no_stack_is_refused(tmp_path):
    folded = tmp_path / "read.folded"
    folded.write_text("worker;tokio::run\n")
    refused = run(sys.executable, SCRIPT, folded, check=False)
    assert refused.returncode == 1 and "is no stack" in refused.stdout
