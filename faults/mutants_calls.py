"""The safeguards between Python and the workers: waking loops, the interpreter's end, sessions, panics, threads."""

from __future__ import annotations

from mutant import Edit, Mutant

MUTANTS = (
    Mutant(
        "no worker attaches to wake an event loop",
        (
            Edit(
                "src/python/aio.rs",
                "            pair::write_byte(ends);\n        }\n    }\n}",
                "            pair::write_byte(ends);\n"
                '            pyo3::Python::attach(|py| py.run(c"import time; time.sleep(0.001)", None, None)).ok();\n'
                "        }\n    }\n}",
            ),
        ),
        "P4",
        "200 ends behind an awaited download, done",
    ),
    Mutant(
        "a dropped task cancels its call",
        (
            Edit(
                "python/rusty_attachments/_calls/operation.py",
                "        except BaseException:\n            operation.cancel()\n            raise\n",
                "        except BaseException:\n            KEPT.append(operation)\n            raise\n",
            ),
            Edit(
                "python/rusty_attachments/_calls/operation.py",
                '_Result = TypeVar("_Result")',
                'KEPT: list[Any] = []\n_Result = TypeVar("_Result")',
            ),
        ),
        "P4",
        "a dropped call leaves the server alone",
    ),
    Mutant(
        "a thread that ends with the interpreter is parked",
        (Edit("src/python/calls.rs", "            std::thread::park();\n", "            return;\n"),),
        "P4",
        "8 ends while a daemon thread",
    ),
    Mutant(
        "what is no Exception comes out of a session as it is",
        (
            Edit(
                "src/python/credentials.rs",
                "        Err(as_call_error(py, raised)?)\n",
                "        self.send(Err(raised.to_string()));\n        Ok(None)\n",
            ),
        ),
        "F34",
        "the session of a call raises",
    ),
    Mutant(
        "credentials are looked at before they are sent",
        (
            Edit(
                "src/store/s3/identity.rs",
                "match flaws.into_iter().find_map(|(what, flaw)| Some((what, flaw?))) {",
                "match None::<(&str, &str)> {",
            ),
        ),
        "F34",
        "the session's credentials",
    ),
    Mutant(
        "a helper thread is optional",
        (
            Edit(
                "src/threads.rs",
                "Builder::new().spawn_scoped(scope, work).ok()",
                "Some(Builder::new().spawn_scoped(scope, work).unwrap())",
            ),
        ),
        "F31",
        "no more threads after the first",
    ),
    Mutant(
        "a thread for blocking work is kept",
        (
            Edit(
                "src/python/runtime.rs",
                ".thread_keep_alive(KEEP_ALIVE)",
                ".thread_keep_alive(Duration::ZERO)",
            ),
        ),
        "F31",
        "no more threads after the first",
    ),
    Mutant(
        "the runtime is built where there are threads for it",
        (
            Edit(
                "src/python/runtime.rs",
                "threads::most_at_once(processors + 1).checked_sub(1).filter(|workers| *workers > 0)",
                "Some(threads::most_at_once(0) + processors)",
            ),
            Edit(
                "src/python/runtime.rs", "let started = catch_quietly(|| {", "let started = Ok::<_, String>({"
            ),
            Edit(
                "src/python/runtime.rs",
                "        let runtime = builder.build()?;\n",
                "        let runtime = builder.build().unwrap();\n",
            ),
        ),
        "F31",
        "no thread at all",
    ),
)
