//! Threads that sleep, and how to see that they do.

/// Starts a thread with a name of its own, by which [`sleeps`] finds it.
pub(crate) fn sleeper<T: Send + 'static>(
    body: impl FnOnce() -> T + Send + 'static,
) -> std::thread::JoinHandle<T> {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let name = format!("sleeper-{}", COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    std::thread::Builder::new().name(name).spawn(body).unwrap()
}

/// Whether a thread of [`sleeper`] sleeps in a futex call: on one futex, or on several.
pub(crate) fn sleeps<T>(thread: &std::thread::JoinHandle<T>) -> bool {
    let name = thread.thread().name().unwrap();
    // 449 is futex_waitv on every architecture.
    let calls = [format!("{} ", libc::SYS_futex), "449 ".to_owned()];
    let read = |task: &std::path::Path, file| std::fs::read_to_string(task.join(file)).unwrap_or_default();
    !thread.is_finished()
        && std::fs::read_dir("/proc/self/task").unwrap().flatten().any(|task| {
            let call = read(&task.path(), "syscall");
            read(&task.path(), "comm").trim_end() == name
                && calls.iter().any(|number| call.starts_with(number))
        })
}
