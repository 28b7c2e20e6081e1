//! Single flight under limits, cancelled at any moment: as the engine puts them together, without its requests.

use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::limits::{MOST, can_begin};
use crate::transfer::limits::{Budget, Limits};
use crate::transfer::once_per_key::{OncePerKey, Outcome};
use crate::transfer::sync::switch;

/// One call's own token: another call that shares the flight goes on.
async fn upload(cancel: CancellationToken, limits: Limits, flights: OncePerKey<u8, u8>) -> Result<u8> {
    let work = || async {
        let request = async {
            let _room = limits.bytes(1 << 20).await;
            let _permit = limits.request().await;
            switch();
            shuttle::future::yield_now().await;
            Ok(7)
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Error::Cancelled("stopped".to_owned())),
            outcome = request => outcome,
        }
    };
    match flights.run(1, work).await {
        Outcome::Own(outcome) | Outcome::Shared(outcome) => outcome,
    }
}

#[test]
fn a_cancelled_call_ends_alone_and_gives_everything_back() {
    crate::explore(|| {
        let limits = Limits::within(&Budget::new(0), MOST, 1);
        let flights = OncePerKey::default();
        let calls: Vec<_> = (0..4).map(|_| CancellationToken::new()).collect();
        let ended = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = calls
            .iter()
            .enumerate()
            .map(|(number, cancel)| {
                let work = upload(cancel.clone(), limits.clone(), flights.clone());
                let ended = Arc::clone(&ended);
                shuttle::future::spawn(async move {
                    let outcome = work.await;
                    ended.lock().unwrap().push((number, outcome));
                })
            })
            .collect();
        for cancel in &calls[..2] {
            switch();
            cancel.cancel();
        }
        for task in tasks {
            shuttle::future::block_on(task).unwrap();
        }
        let ended = ended.lock().unwrap();
        assert_eq!(ended.len(), calls.len());
        for (number, outcome) in ended.iter() {
            match outcome {
                Ok(value) => assert_eq!(*value, 7),
                // A waiter does not fail because someone else was told to stop.
                Err(error) => assert!(error.is_cancelled() && *number < 2, "call {number}: {error}"),
            }
        }
        assert_eq!(can_begin(&limits), limits.most_requests());
    });
}
