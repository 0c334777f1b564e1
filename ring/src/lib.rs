//! shmflow
