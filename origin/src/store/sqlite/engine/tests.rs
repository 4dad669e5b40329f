use std::sync::mpsc;

use tracing::Instrument as _;

use super::*;

fn engine() -> (Engine, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    connect(&path).unwrap().execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT").unwrap();
    (Engine::open("a test", &path).unwrap(), folder)
}

fn insert(connection: &Connection, n: i64) -> StoreResult<()> {
    connection.prepare_cached("INSERT INTO t VALUES (?1)")?.execute([n])?;
    Ok(())
}

async fn count(engine: &Engine) -> i64 {
    engine.read(|c| Ok(c.query_one("SELECT count(*) FROM t", [], |row| row.get(0))?)).await.unwrap()
}

/// Of connections that close at the same moment each may take another for the last one.
#[tokio::test]
async fn however_often_it_is_closed_the_journal_is_folded_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.db");
    for _ in 0..500 {
        let engine = Engine::open("a test", &path).unwrap();
        engine
            .write(|c| Ok(c.execute_batch("CREATE TABLE IF NOT EXISTS t (n); INSERT INTO t VALUES (1)")?))
            .await
            .unwrap();
        let read =
            |c: &Connection| Ok(c.query_one("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))?);
        let _ = tokio::join!(engine.read(read), engine.read(read));
        drop(engine);
        assert!(!folder.path().join("file.db-wal").exists());
    }
}

#[tokio::test]
async fn failed_write_in_group_leaves_others_alone() {
    let (engine, _folder) = engine();
    let (release, held) = mpsc::channel::<()>();
    let blocker = engine.write(move |c| {
        held.recv().map_err(|_| StoreError::Timeout)?;
        insert(c, 1)
    });
    let doubled = engine.write(|c| insert(c, 2).and_then(|()| insert(c, 2)));
    let good = engine.write(|c| insert(c, 3));
    let unblock = async { release.send(()).unwrap() };
    let (first, second, third, ()) = tokio::join!(blocker, doubled, good, unblock);
    first.unwrap();
    assert_eq!(second.unwrap_err().kind(), "conflict");
    third.unwrap();
    assert_eq!(count(&engine).await, 2);
}

#[tokio::test]
async fn full_queue_refuses_at_once() {
    let (engine, _folder) = engine();
    let (release, held) = mpsc::channel::<()>();
    let (started, wait_started) = oneshot::channel();
    let blocker = async {
        engine
            .write(move |_| {
                let _ = started.send(());
                held.recv().map_err(|_| StoreError::Timeout)
            })
            .await
    };
    let flood = async {
        wait_started.await.unwrap();
        let (mut waiting, mut refused) = (Vec::new(), 0);
        for n in 0..=QUEUE_LEN {
            let mut write = Box::pin(engine.write(move |c| insert(c, i64::try_from(n).unwrap())));
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(write.as_mut().poll(cx))).await;
            match polled {
                std::task::Poll::Ready(Err(StoreError::Overloaded)) => refused += 1,
                _ => waiting.push(write),
            }
        }
        release.send(()).unwrap();
        for write in waiting {
            write.await.unwrap();
        }
        refused
    };
    let (first, refused) = tokio::join!(blocker, flood);
    first.unwrap();
    assert_eq!(refused, 1);
    assert_eq!(count(&engine).await, i64::try_from(QUEUE_LEN).unwrap());
}

#[tokio::test]
async fn panic_of_a_write_fails_that_write_alone() {
    let (engine, _folder) = engine();
    let (release, held) = mpsc::channel::<()>();
    let blocker = engine.write(move |c| {
        held.recv().map_err(|_| StoreError::Timeout)?;
        insert(c, 1)
    });
    let broken = engine.write::<(), _>(|c| {
        insert(c, 2)?;
        let mut statement = c.prepare_cached("SELECT n FROM t")?;
        let mut rows = statement.query([])?;
        let _ = rows.next()?;
        panic!("provoked in the middle of a statement");
    });
    let good = engine.write(|c| insert(c, 3));
    let unblock = async { release.send(()).unwrap() };
    let (first, second, third, ()) = tokio::join!(blocker, broken, good, unblock);
    first.unwrap();
    assert_eq!(second.unwrap_err().kind(), "unavailable");
    third.unwrap();
    for n in 4..10 {
        engine.write::<(), _>(|_| panic!("provoked")).await.unwrap_err();
        engine.write(move |c| insert(c, n)).await.unwrap();
    }
    engine.check_threads().unwrap();
    assert_eq!(count(&engine).await, 8);
}

#[tokio::test]
async fn panic_of_reads_ends_no_reader() {
    let (engine, _folder) = engine();
    for _ in 0..2 * READERS {
        engine.read::<(), _>(|_| panic!("provoked")).await.unwrap_err();
    }
    engine.check_threads().unwrap();
    assert_eq!(count(&engine).await, 0);
}

#[tokio::test]
async fn connection_that_is_left_in_a_transaction_is_opened_anew() {
    let (engine, folder) = engine();
    let mut handle = Handle::open(&folder.path().join("test.db"), connect).unwrap();
    let broken = handle.guard(|connection| {
        connection.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)").unwrap();
        panic!("provoked in the middle of a transaction");
    });
    assert_eq!(broken.unwrap_err().kind(), "unavailable");
    assert!(handle.connection.is_autocommit());
    engine.write(|c| insert(c, 2)).await.unwrap();
    assert_eq!(count(&engine).await, 1);
}

#[tokio::test]
async fn ended_thread_is_reported() {
    let (mut engine, _folder) = engine();
    engine.check_threads().unwrap();
    // In its place one that has nothing to do.
    engine.writes = None;
    end(engine.writer.take().unwrap());
    let ended = spawn("sqlite-writer", || ()).unwrap();
    while !ended.is_finished() {
        std::thread::yield_now();
    }
    engine.writer = Some(ended);
    assert_eq!(engine.check_threads().unwrap_err().kind(), "unavailable");
}

#[tokio::test]
async fn readers_cannot_write() {
    let (engine, _folder) = engine();
    assert_eq!(engine.read(|c| insert(c, 1)).await.unwrap_err().kind(), "refused");
}

#[tokio::test]
async fn job_is_logged_as_its_callers() {
    // Other threads than this one log to the process's own.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    let (engine, _folder) = engine();
    let span = tracing::info_span!("request");
    let current_span = |_: &Connection| Ok(Span::current().id());
    let (read, written) = async { tokio::join!(engine.read(current_span), engine.write(current_span)) }
        .instrument(span.clone())
        .await;
    assert!(span.id().is_some());
    assert_eq!((read.unwrap(), written.unwrap()), (span.id(), span.id()));
}
