//! The one line per property that connects its name with a field of a `Settings` struct.

/// Gives a `Settings` struct `get` and `set` by property name, from one table of names and fields.
///
/// `set` gives `false` and `get` gives `None` for a name that is not in the table, so that an element can add
/// properties of another kind (counters, properties of its base class).
macro_rules! settings_by_name {
    ($settings:ty { $($name:literal => $field:ident,)* }) => {
        impl $settings {
            /// Takes a property's new value; `false` for a name that is not a setting.
            pub(super) fn set(&mut self, name: &str, value: &gstreamer::glib::Value) -> bool {
                match name {
                    // GObject has checked the type; a value of another one changes nothing.
                    $($name => if let Ok(value) = value.get() { self.$field = value },)*
                    _ => return false,
                }
                true
            }

            /// A property's value; `None` for a name that is not a setting.
            pub(super) fn get(&self, name: &str) -> Option<gstreamer::glib::Value> {
                use gstreamer::glib::value::ToValue;
                match name {
                    $($name => Some(self.$field.to_value()),)*
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use settings_by_name;
