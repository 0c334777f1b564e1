//! The ring's errors as GStreamer's: the sentence for display stays, and the code tells applications what kind it is.

use gstreamer as gst;

use shmflow::Error;

/// An element error for `error`. The debug text names the element's doing and the error's variant.
pub(crate) fn message(error: &Error, doing: &str) -> gst::ErrorMessage {
    let debug = format!("while {doing}: {error:?}");
    match error {
        Error::InvalidTopicName { .. } | Error::InvalidArgument { .. } => {
            gst::error_msg!(gst::ResourceError::Settings, ("{error}"), ["{debug}"])
        }
        Error::TopicNotFound { .. } | Error::NoProducer { .. } | Error::Removed { .. } => {
            gst::error_msg!(gst::ResourceError::NotFound, ("{error}"), ["{debug}"])
        }
        Error::PermissionDenied { .. } | Error::ReadOnlyNotAllowed { .. } => {
            let here = "On shmflowsink, perms=0660 lets the group join and perms=0644 lets all users read; on shmflowsrc, \
                        read-only=true joins without writing.";
            gst::error_msg!(gst::ResourceError::NotAuthorized, ("{error}. {here}"), ["{debug}"])
        }
        Error::ForeignOwner { .. } => {
            let here = "The property for that is allow-foreign-owner.";
            gst::error_msg!(gst::ResourceError::NotAuthorized, ("{error}. {here}"), ["{debug}"])
        }
        Error::NoSpace { .. } => {
            let here = "The properties max-buffers and max-bytes of shmflowsink limit the size of the ring.";
            gst::error_msg!(gst::ResourceError::NoSpaceLeft, ("{error}. {here}"), ["{debug}"])
        }
        Error::TooLarge { .. } | Error::NoSlot { .. } => {
            gst::error_msg!(gst::ResourceError::NoSpaceLeft, ("{error}"), ["{debug}"])
        }
        Error::InUse { .. } | Error::Busy { .. } | Error::TooManyProducers { .. } => {
            gst::error_msg!(gst::ResourceError::Busy, ("{error}"), ["{debug}"])
        }
        _ => gst::error_msg!(gst::ResourceError::Failed, ("{error}"), ["{debug}"]),
    }
}
