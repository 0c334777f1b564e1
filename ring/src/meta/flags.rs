//! What is special about a frame, as bits whose numbers never change.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Not};

/// What is special about a frame.
///
/// Bits 0 to 15 apply to any data, bits 16 to 31 to video. The numbers are shmflow's own and never change, whatever
/// the framework at either end calls them. Bits without a name are carried unchanged.
///
/// ```
/// use shmflow::meta::Flags;
///
/// let flags = Flags::DISCONT | Flags::INTERLACED;
/// assert!(flags.contains(Flags::DISCONT));
/// assert_eq!(flags.bits(), 1 << 0 | 1 << 16);
/// assert_eq!(flags.to_string(), "discont,interlaced");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u32);

macro_rules! flags {
    ($($(#[$doc:meta])* $konst:ident = $bit:literal, $name:literal;)*) => {
        impl Flags {
            $($(#[$doc])* pub const $konst: Self = Self(1 << $bit);)*

            /// Every flag with a name: the flag, its bit number and its name.
            pub const NAMED: &'static [(Self, u32, &'static str)] = &[$((Self::$konst, $bit, $name),)*];
        }
    };
}

flags! {
    /// The data does not continue what came before it.
    DISCONT = 0, "discont";
    /// The data is damaged.
    CORRUPTED = 1, "corrupted";
    /// The data is filler for a gap and may be skipped.
    GAP = 2, "gap";
    /// Media-specific end of a unit: the last part of a picture, the start of a talk spurt.
    MARKER = 3, "marker";
    /// The data is a stream header.
    HEADER = 4, "header";
    /// The data cannot be decoded without what came before it.
    DELTA_UNIT = 5, "delta-unit";
    /// The data may be dropped without harm to what follows.
    DROPPABLE = 6, "droppable";
    /// The data must not be dropped, not even while seeking or trimming.
    NON_DROPPABLE = 7, "non-droppable";
    /// Clocks should be resynchronised at this frame.
    RESYNC = 8, "resync";
    /// The data was captured live.
    LIVE = 9, "live";
    /// The data must be decoded but not shown.
    DECODE_ONLY = 10, "decode-only";
    /// The frame of a mixed stream is interlaced.
    INTERLACED = 16, "interlaced";
    /// The top field comes first.
    TFF = 17, "tff";
    /// The first field is repeated.
    RFF = 18, "rff";
    /// The frame holds one field only.
    ONEFIELD = 19, "onefield";
    /// The frame holds several views.
    MULTIPLE_VIEW = 20, "multiple-view";
    /// The first of several frames that belong to one moment (views, fields).
    FIRST_IN_BUNDLE = 21, "first-in-bundle";
}

impl Flags {
    /// No flag.
    pub const EMPTY: Self = Self(0);

    /// Takes all 32 bits as they are, those without a name included.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// All 32 bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of `other`'s flags are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether no flag is set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Sets or clears `flag`.
    ///
    /// ```
    /// use shmflow::meta::Flags;
    ///
    /// let mut flags = Flags::GAP;
    /// flags.set(Flags::DISCONT, true);
    /// flags.set(Flags::GAP, false);
    /// assert_eq!(flags, Flags::DISCONT);
    /// ```
    pub const fn set(&mut self, flag: Self, on: bool) {
        if on {
            self.0 |= flag.0;
        } else {
            self.0 &= !flag.0;
        }
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitAnd for Flags {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for Flags {
    type Output = Self;

    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl fmt::Display for Flags {
    /// The names, separated by commas; bits without a name as one hexadecimal number; nothing for no flag.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut comma = "";
        for &(flag, _, name) in Self::NAMED {
            if self.contains(flag) {
                write!(f, "{comma}{name}")?;
                comma = ",";
                rest &= !flag.0;
            }
        }
        if rest != 0 {
            write!(f, "{comma}{rest:#x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({self})")
    }
}
