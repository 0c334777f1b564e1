//! Chained setters, since structs that are `#[non_exhaustive]` have no literals outside the crate.

/// One setter per line, with the name and the type of its field. One of an `Option` also takes the value itself.
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
