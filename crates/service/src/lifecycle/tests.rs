use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use super::{Lifecycle, LifecycleError, Shutdown};

const DRAIN: Duration = Duration::from_secs(30);

/// Sets its flag when dropped, as an aborted task's variables are.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

async fn until_soft(shutdown: Shutdown) -> Result<(), Infallible> {
    shutdown.soft().cancelled().await;
    Ok(())
}

fn panic_instead_of_ending() -> Result<(), Infallible> {
    panic!("a panic that the test asked for")
}

#[tokio::test(start_paused = true)]
async fn a_request_ends_obedient_tasks_at_once() {
    let lifecycle = Lifecycle::new(DRAIN);
    let shutdown = lifecycle.shutdown();
    lifecycle.spawn("one", until_soft(shutdown.clone()));
    lifecycle.spawn("two", until_soft(shutdown.clone()));
    shutdown.request();

    let start = Instant::now();
    lifecycle.run_until_requested().await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(shutdown.hard().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_failing_task_stops_the_others_and_fails_the_process() {
    let lifecycle = Lifecycle::new(DRAIN);
    lifecycle.spawn("obedient", until_soft(lifecycle.shutdown()));
    lifecycle.spawn("broken", async { Err::<(), _>("the stream is gone") });

    let error = lifecycle.run_until_requested().await.unwrap_err();
    assert_eq!(error.to_string(), "task broken failed: the stream is gone");
}

#[tokio::test(start_paused = true)]
async fn a_panicking_task_fails_the_process() {
    let lifecycle = Lifecycle::new(DRAIN);
    lifecycle.spawn("obedient", until_soft(lifecycle.shutdown()));
    lifecycle.spawn("broken", async { panic_instead_of_ending() });

    let error = lifecycle.run_until_requested().await.unwrap_err();
    assert!(matches!(&error, LifecycleError::TaskPanicked { task } if task == "broken"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_while_draining_counts() {
    let lifecycle = Lifecycle::new(DRAIN);
    let shutdown = lifecycle.shutdown();
    let soft = shutdown.soft().clone();
    lifecycle.spawn("flush", async move {
        soft.cancelled().await;
        Err::<(), _>("the last batch was not written")
    });
    shutdown.request();

    let error = lifecycle.run_until_requested().await.unwrap_err();
    assert!(matches!(&error, LifecycleError::TaskFailed { task, .. } if task == "flush"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_hung_task_is_aborted_after_the_drain_timeout() {
    let lifecycle = Lifecycle::new(DRAIN);
    let shutdown = lifecycle.shutdown();
    let dropped = Arc::new(AtomicBool::new(false));
    let guard = Dropped(Arc::clone(&dropped));
    lifecycle.spawn("obedient", until_soft(shutdown.clone()));
    lifecycle.spawn("hung", async move {
        let _guard = guard;
        pending::<Result<(), Infallible>>().await
    });
    shutdown.request();

    let start = Instant::now();
    let error = lifecycle.run_until_requested().await.unwrap_err();
    assert!(matches!(&error, LifecycleError::DrainTimedOut { tasks, .. } if *tasks == ["hung"]), "{error}");
    assert!(dropped.load(Ordering::SeqCst));
    let elapsed = start.elapsed();
    assert!(elapsed >= DRAIN && elapsed < DRAIN + Duration::from_secs(4), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_aborts_at_once() {
    let lifecycle = Lifecycle::new(DRAIN);
    let dropped = Arc::new(AtomicBool::new(false));
    let guard = Dropped(Arc::clone(&dropped));
    lifecycle.spawn("hung", async move {
        let _guard = guard;
        pending::<Result<(), Infallible>>().await
    });

    let start = Instant::now();
    let error = lifecycle.run(async || {}).await.unwrap_err();
    assert!(matches!(error, LifecycleError::Aborted), "{error}");
    assert!(dropped.load(Ordering::SeqCst));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn background_tasks_outlive_the_draining() {
    let lifecycle = Lifecycle::new(DRAIN);
    let shutdown = lifecycle.shutdown();
    let (drained, is_drained) = oneshot::channel::<()>();
    let soft = shutdown.soft().clone();
    lifecycle.spawn("work", async move {
        soft.cancelled().await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        drained.send(()).map_err(|()| "the background task was gone first")
    });
    let hard = shutdown.hard().clone();
    lifecycle.spawn_background("admin", async move {
        hard.cancelled().await;
        let mut is_drained = is_drained;
        is_drained.try_recv()
    });
    shutdown.request();

    lifecycle.run_until_requested().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_lifecycles_in_one_process_do_not_touch_each_other() {
    let (first, second) = (Lifecycle::new(DRAIN), Lifecycle::new(DRAIN));
    let still_running = second.shutdown();
    first.spawn("broken", async { Err::<(), _>("gone") });
    first.run_until_requested().await.unwrap_err();
    assert!(!still_running.is_requested());
}
