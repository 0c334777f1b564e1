//! Functions of GStreamer that 1.22 does not have, or that are in libraries which this plugin does not need: looked up when
//! they are wanted first. What is not there stays `None`.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::LazyLock;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_video as gst_video;

use glib::translate::{IntoGlibPtr, UnsafeFrom};

/// A library that may be on this machine.
#[derive(Debug)]
pub(crate) struct Library(*mut c_void);

// SAFETY: what `dlopen` gives is for all threads.
unsafe impl Send for Library {}
// SAFETY: likewise.
unsafe impl Sync for Library {}

impl Library {
    /// Loads a library for good. (To unload one that registers GLib types is not possible.)
    pub(crate) fn open(name: &CStr) -> Option<Self> {
        // SAFETY: a GStreamer library, whose constructors do nothing.
        let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        (!library.is_null()).then_some(Self(library))
    }

    /// Those that this program has loaded already.
    fn all() -> Self {
        Self(libc::RTLD_DEFAULT)
    }

    /// A function of the library.
    ///
    /// # Safety
    /// `F` is the type of a C function pointer, and that of the function of this name.
    pub(crate) unsafe fn function<F: Copy>(&self, name: &CStr) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        // SAFETY: the library is loaded for good.
        let address = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        // SAFETY: the caller's: a function pointer, and this address is one.
        (!address.is_null()).then(|| unsafe { std::mem::transmute_copy(&address) })
    }
}

type Serialize = unsafe extern "C" fn(*const gst::ffi::GstMeta, *mut glib::ffi::GByteArray) -> c_int;
type Deserialize =
    unsafe extern "C" fn(*mut gst::ffi::GstBuffer, *const u8, usize, *mut u32) -> *mut gst::ffi::GstMeta;

/// GStreamer's own serialisation of metas (1.24).
static SERIALIZATION: LazyLock<Option<(Serialize, Deserialize)>> = LazyLock::new(|| {
    let library = Library::all();
    // SAFETY: these are the types that gstmeta.h of 1.24 gives them.
    unsafe {
        Some((library.function(c"gst_meta_serialize_simple")?, library.function(c"gst_meta_deserialize")?))
    }
});

/// A meta in GStreamer's own form, if it has one.
pub(crate) fn serialize(meta: &gst::MetaRef<'_, gst::Meta>) -> Option<Vec<u8>> {
    let (serialize, _) = (*SERIALIZATION)?;
    // SAFETY: the meta is alive; the array is ours, and freed here.
    unsafe {
        let array = glib::ffi::g_byte_array_new();
        let done = serialize(meta.as_ptr(), array) != 0;
        let (data, len) = ((*array).data, (*array).len as usize);
        let bytes = (done && len != 0).then(|| std::slice::from_raw_parts(data, len).to_vec());
        glib::ffi::g_byte_array_unref(array);
        bytes
    }
}

/// The name in a meta in GStreamer's own form: a length in all, the name's length, the name, NUL, a version, the rest.
/// GStreamer's reader trusts these lengths too far; only what passes here is shown to it.
fn name_of(data: &[u8]) -> Option<&CStr> {
    let number = |at: usize| data.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let (total, name_len) = (usize::try_from(number(0)?).ok()?, usize::try_from(number(4)?).ok()?);
    let end = name_len.checked_add(9)?;
    // A version follows the NUL.
    if total != data.len() || end >= total {
        return None;
    }
    CStr::from_bytes_with_nul(data.get(8..end)?).ok()
}

/// What became of a meta in GStreamer's own form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deserialized {
    Added,
    /// This GStreamer does not know it, or it is not for this way.
    PassedOver,
    Corrupt,
}

/// Adds a meta that another process's GStreamer wrote. Not one about memory, and none that has an entry of its own: what is
/// in those is checked on another way.
pub(crate) fn deserialize(
    buffer: &mut gst::BufferRef,
    data: &[u8],
    has_entry: impl Fn(glib::Type) -> bool,
) -> Deserialized {
    let Some(name) = name_of(data) else { return Deserialized::Corrupt };
    let Some((_, deserialize)) = *SERIALIZATION else { return Deserialized::PassedOver };
    // SAFETY: a text; what is registered stays.
    let Some(info) = (unsafe { gst::ffi::gst_meta_get_info(name.as_ptr()).as_ref() }) else {
        return Deserialized::PassedOver;
    };
    // SAFETY: an API type of GLib's, and the information it belongs to.
    let (api, is_custom) = unsafe {
        (glib::translate::from_glib::<_, glib::Type>(info.api), gst::ffi::gst_meta_info_is_custom(info) != 0)
    };
    if is_custom || super::is_of_memory(api) || has_entry(api) {
        return Deserialized::PassedOver;
    }
    let mut consumed = 0;
    // SAFETY: the buffer is writable, the bytes are there, and their lengths agree.
    let meta = unsafe { deserialize(buffer.as_mut_ptr(), data.as_ptr(), data.len(), &raw mut consumed) };
    if meta.is_null() { Deserialized::Corrupt } else { Deserialized::Added }
}

/// API type of sound levels.
pub(crate) const AUDIO_LEVEL: &str = "GstAudioLevelMetaAPI";
/// API type of what detectors found.
pub(crate) const ANALYTICS: &str = "GstAnalyticsRelationMetaAPI";

/// Sound levels, of the audio library.
#[derive(Debug, Clone, Copy)]
struct AudioLevels {
    get: unsafe extern "C" fn(*mut gst::ffi::GstBuffer) -> *mut LevelMeta,
    add: unsafe extern "C" fn(*mut gst::ffi::GstBuffer, u8, c_int) -> *mut LevelMeta,
}

/// `GstAudioLevelMeta`.
#[derive(Debug)]
#[repr(C)]
struct LevelMeta {
    meta: gst::ffi::GstMeta,
    level: u8,
    voice: c_int,
}

static LEVELS: LazyLock<Option<AudioLevels>> = LazyLock::new(|| {
    let library = Library::open(c"libgstaudio-1.0.so.0")?;
    // SAFETY: these are the types that gstaudiometa.h gives them.
    unsafe {
        Some(AudioLevels {
            get: library.function(c"gst_buffer_get_audio_level_meta")?,
            add: library.function(c"gst_buffer_add_audio_level_meta")?,
        })
    }
});

/// The sound level of a buffer that has one.
pub(crate) fn audio_level(buffer: &gst::BufferRef) -> Option<(u8, bool)> {
    let levels = (*LEVELS)?;
    // SAFETY: the function only looks; what it finds is alive as the buffer is.
    unsafe { (levels.get)(buffer.as_mut_ptr()).as_ref() }.map(|meta| (meta.level, meta.voice != 0))
}

/// Gives a buffer a sound level; whether that was possible.
pub(crate) fn add_audio_level(buffer: &mut gst::BufferRef, level: u8, voice: bool) -> bool {
    // SAFETY: the buffer is writable.
    LEVELS.is_some_and(|levels| !unsafe { (levels.add)(buffer.as_mut_ptr(), level, voice.into()) }.is_null())
}

/// The bindings have the field whatever GStreamer there is; before 1.28 (1.27 in development) something else is there.
fn references_have_info() -> bool {
    gst::version() >= (1, 27, 0, 0)
}

/// What more a reference timestamp says of its clock, as text.
pub(crate) fn reference_info(meta: &gst::MetaRef<'_, gst::ReferenceTimestampMeta>) -> Option<String> {
    if !references_have_info() {
        return None;
    }
    // SAFETY: this GStreamer's metas have the field.
    let info = unsafe { (*meta.as_ptr()).info };
    // SAFETY: null, or alive as the meta is.
    (!info.is_null()).then(|| super::structure::to_text(unsafe { gst::StructureRef::from_glib_borrow(info) }))
}

/// Says more of the clock of a reference timestamp that is new; whether that is possible.
pub(crate) fn set_reference_info(
    meta: &mut gst::MetaRefMut<'_, gst::ReferenceTimestampMeta, gst::meta::Standalone>,
    info: gst::Structure,
) -> bool {
    if !references_have_info() {
        return false;
    }
    // SAFETY: this GStreamer's metas have the field, it is null in a new one, and is freed with it.
    unsafe { (*meta.as_mut_ptr()).info = info.into_glib_ptr() };
    true
}

/// Whether an application of this process registered a custom meta of a name.
pub(crate) fn is_custom_meta(name: &str) -> bool {
    let Ok(name) = std::ffi::CString::new(name) else { return false };
    // SAFETY: a text; what is registered stays.
    unsafe {
        let info = gst::ffi::gst_meta_get_info(name.as_ptr());
        !info.is_null() && gst::ffi::gst_meta_info_is_custom(info) != 0
    }
}

/// Adds an active format description; whether it was one.
pub(crate) fn add_afd(buffer: &mut gst::BufferRef, field: u8, spec: i32, code: i32) -> bool {
    if field > 2 || !(0..=2).contains(&spec) || !matches!(code, 0 | 2..=4 | 8..=11 | 13..=15) {
        return false;
    }
    // SAFETY: the buffer is writable, and these are numbers of the enumerations.
    !unsafe { gst_video::ffi::gst_buffer_add_video_afd_meta(buffer.as_mut_ptr(), field, spec, code) }
        .is_null()
}

/// Adds bars; whether they were some.
pub(crate) fn add_bars(buffer: &mut gst::BufferRef, field: u8, is_letterbox: bool, bars: (u32, u32)) -> bool {
    if field > 2 {
        return false;
    }
    let is_letterbox = is_letterbox.into();
    // SAFETY: the buffer is writable.
    let meta = unsafe {
        gst_video::ffi::gst_buffer_add_video_bar_meta(
            buffer.as_mut_ptr(),
            field,
            is_letterbox,
            bars.0,
            bars.1,
        )
    };
    !meta.is_null()
}

/// A type of GLib's by its name, if anybody registered it.
pub(crate) fn type_of_name(name: &str) -> Option<glib::Type> {
    let name = std::ffi::CString::new(name).ok()?;
    let name: *const c_char = name.as_ptr();
    // SAFETY: a text; 0 for none.
    let raw = unsafe { glib::gobject_ffi::g_type_from_name(name) };
    // SAFETY: a type that exists.
    (raw != 0).then(|| unsafe { glib::translate::from_glib(raw) })
}

/// A value of an enumeration, of flags, or a date, from its text; `None` if it is not one.
pub(crate) fn plain_value(text: &str, ty: glib::Type) -> Option<glib::SendValue> {
    let value = <glib::Value as gst::prelude::GstValueExt>::deserialize(text, ty).ok()?;
    // SAFETY: numbers and dates, which nothing changes, are for all threads.
    Some(unsafe { glib::SendValue::unsafe_from(value.into_raw()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_levels_are_found_again() {
        gst::init().expect("GStreamer starts");
        let mut buffer = gst::Buffer::new();
        let fresh = buffer.get_mut().expect("new");
        assert_eq!(audio_level(fresh), None);
        assert!(add_audio_level(fresh, 31, true));
        assert_eq!(audio_level(fresh), Some((31, true)));
        let apis: Vec<_> = fresh.iter_meta::<gst::Meta>().map(|meta| meta.api().name()).collect();
        assert_eq!(apis, [AUDIO_LEVEL]);
    }

    #[test]
    fn what_gstreamer_serialises_it_reads_again_unless_it_is_not_for_this_way() {
        gst::init().expect("GStreamer starts");
        let mut buffer = gst::Buffer::new();
        let clock = gst::Caps::builder("timestamp/x-ntp").build();
        gst::ReferenceTimestampMeta::add(
            buffer.get_mut().expect("new"),
            &clock,
            gst::ClockTime::SECOND,
            None,
        );
        let data = buffer.iter_meta::<gst::Meta>().next().and_then(|meta| serialize(&meta));
        assert_eq!(data.is_some(), gst::version() >= (1, 24, 0, 0));
        let Some(data) = data else { return };
        let mut other = gst::Buffer::new();
        let fresh = other.get_mut().expect("new");
        assert_eq!(deserialize(fresh, &data, |_| true), Deserialized::PassedOver);
        assert_eq!(
            deserialize(fresh, data.get(..data.len() - 1).unwrap_or(&[]), |_| false),
            Deserialized::Corrupt
        );
        assert_eq!(deserialize(fresh, &data, |_| false), Deserialized::Added);
        let times: Vec<_> =
            other.iter_meta::<gst::ReferenceTimestampMeta>().map(|meta| meta.timestamp()).collect();
        assert_eq!(times, [gst::ClockTime::SECOND]);
    }

    #[test]
    fn lengths_that_do_not_agree_are_refused_before_gstreamer_sees_them() {
        let block = |total: u32, name_len: u32, rest: &[u8]| {
            let mut bytes = total.to_le_bytes().to_vec();
            bytes.extend_from_slice(&name_len.to_le_bytes());
            bytes.extend_from_slice(rest);
            bytes
        };
        assert_eq!(name_of(&block(13, 3, b"abc\0\0")), Some(c"abc"));
        assert_eq!(name_of(&block(14, 3, b"abc\0\0x")), Some(c"abc"));
        for bad in [
            block(12, 3, b"abc\0"),
            block(12, 3, b"abc\0\0"),
            block(13, u32::MAX - 9, b"abc\0\0"),
            block(13, u32::MAX, b"abc\0\0"),
            block(13, 3, b"abcd\0"),
            block(13, 3, b"a\0c\0\0"),
            block(13, 4, b"abc\0\0"),
            block(8, 0, b""),
            Vec::new(),
        ] {
            assert_eq!(name_of(&bad), None, "{bad:?}");
        }
    }
}
