//! Chained setters, since structs that will get more fields cannot be written out as literals elsewhere.

/// Setters by the names of their fields, which stay public. A field that is an `Option` also takes the bare value.
macro_rules! setters {
    ($($field:ident: $value:ty,)*) => {$(
        #[doc = concat!("Sets [`", stringify!($field), "`](#structfield.", stringify!($field), ").")]
        #[must_use]
        pub fn $field(mut self, $field: impl Into<$value>) -> Self {
            self.$field = $field.into();
            self
        }
    )*};
}

pub(super) use setters;
