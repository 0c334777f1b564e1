//! Frames that are structs: for those who share `#[repr(C)]` types. Feature `zerocopy`.
//!
//! A [`TypedProducer<T>`] publishes values of a type, a [`TypedConsumer<T>`] receives them as `&T`, in place. With `[T]` for `T`
//! each frame is a slice, of any length.
//!
//! The crate [zerocopy](https://docs.rs/zerocopy) is what says which types that can be: its derives check, one by one, that
//! every pattern of bytes is a value (`FromBytes`), that there is no padding, which would be memory never written
//! (`IntoBytes`), and that nothing changes behind a `&T` (`Immutable`). So `bool`, enums, references and `Vec` are out.
//! [`Message`] gives the type a name.
//!
//! # The type is checked
//!
//! Its id is the name, the size and the alignment; whether frames are values or slices counts too. Fields are not compared: who
//! changes them without changing the size changes the name, such as `robot/Pose.2`.
//!
//! - *At open:* a consumer is refused by a topic that has a producer of another type, and so is a second producer, with
//!   [`Error::TypeMismatch`](crate::Error::TypeMismatch), which names both types.
//! - *At each frame:* the id is in its metadata (as caps), since a topic may have other producers, and frames of dead ones.
//!
//! What was said of the bytes of a [`Frame`](crate::Frame) is true of the `&T`: whoever may write a topic is trusted to leave
//! published frames alone.
//!
//! ```
//! # let dir = std::env::temp_dir().join(format!("shmflow-doc-typed-{}", std::process::id()));
//! # std::fs::create_dir_all(&dir).unwrap();
//! use shmflow::typed::{Message, TypedConsumer, TypedProducer};
//! use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
//!
//! #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
//! #[repr(C)]
//! struct Pose {
//!     time_ns: u64,
//!     position: [f64; 3],
//! }
//!
//! impl Message for Pose {
//!     const NAME: &'static str = "robot/Pose";
//! }
//!
//! let producer = TypedProducer::<Pose>::open(shmflow::Producer::builder("doc/pose").dir(&dir))?;
//! // In this process or any other:
//! let mut consumer = TypedConsumer::<Pose>::open(shmflow::Consumer::builder("doc/pose").dir(&dir))?;
//!
//! producer.write(&Pose { time_ns: 1, position: [0.0, 1.0, 2.0] })?; // one copy
//! let mut pose = producer.claim()?;                                 // none: a `&mut Pose` in shared memory
//! pose.time_ns = 2;
//! pose.publish()?;
//!
//! assert_eq!(consumer.recv()?.position[2], 2.0);
//! assert_eq!(consumer.recv()?.time_ns, 2);
//!
//! let other = TypedConsumer::<[Pose]>::open(shmflow::Consumer::builder("doc/pose").dir(&dir));
//! assert!(matches!(other, Err(shmflow::Error::TypeMismatch { .. })));
//! # drop((consumer, producer)); std::fs::remove_dir_all(&dir).unwrap();
//! # Ok::<(), shmflow::Error>(())
//! ```

mod consumer;
mod id;
mod producer;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub use consumer::{TypedConsumer, TypedFrame};
pub use producer::{TypedClaim, TypedProducer};

/// A type that frames can be made of. Derive the traits that it stands on, and name it.
pub trait Message: FromBytes + IntoBytes + Immutable + KnownLayout + Sized + 'static {
    /// What both sides call it: up to 200 letters, digits and `_ - + / : .`, such as `robot/Pose`. Another name is not
    /// compiled, nor is a type without bytes, or with an alignment above 4096.
    const NAME: &'static str;
}

/// What a frame holds: one value of a [`Message`] type, or a slice of them. Nothing else can be.
pub trait Payload: FromBytes + IntoBytes + Immutable + KnownLayout + id::Typed {}

impl<T: Message> Payload for T {}
impl<T: Message> Payload for [T] {}

/// An error of bytes that are no value of `P`; `None` if they are one. (They begin at a page, which is aligned for each.)
fn cast_error<P: Payload + ?Sized>(bytes: &[u8], topic: &str) -> Option<crate::Error> {
    P::ref_from_bytes(bytes).is_err().then(|| crate::Error::Corrupt {
        topic: topic.into(),
        what: format!("a frame of {} bytes says that it is {}", bytes.len(), id::describe(Some(&P::id()))),
    })
}
