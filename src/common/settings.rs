//! What the user chose: settings by their properties' names, and when they may change.

use std::ops::Deref;

use gstreamer::glib;

/// Settings that are found by their properties' names.
pub(crate) trait ByName {
    /// Takes a property's new value; `false` for a name that is not a setting.
    fn set(&mut self, name: &str, value: &glib::Value) -> bool;

    /// A property's value; `None` for a name that is not a setting.
    fn get(&self, name: &str) -> Option<glib::Value>;
}

/// Settings, which change in NULL and READY only: what an element above READY works with is what its properties say.
#[derive(Debug, Default)]
pub(crate) struct Chosen<S> {
    settings: S,
    in_use: bool,
}

impl<S: ByName> Chosen<S> {
    /// Takes a property's new value.
    ///
    /// # Errors
    /// A sentence for display, when it is not a setting, or the settings are in use.
    pub(crate) fn set(&mut self, name: &str, value: &glib::Value) -> Result<(), String> {
        if self.in_use {
            return Err(format!(
                "The property {name} can be set in the states NULL and READY only; it stays as it is."
            ));
        }
        if self.settings.set(name, value) {
            Ok(())
        } else {
            Err(format!("The property {name} cannot be set."))
        }
    }

    /// Whether they stay as they are.
    pub(crate) fn is_in_use(&self) -> bool {
        self.in_use
    }

    /// From now on they stay as they are, or may change again.
    pub(crate) fn set_in_use(&mut self, in_use: bool) {
        self.in_use = in_use;
    }
}

impl<S> Deref for Chosen<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.settings
    }
}

/// Makes a struct [`ByName`], from one table of names and fields. For a name that is not in the table `set` gives `false`
/// and `get` gives `None`, so that an element can add properties of another kind (counters).
macro_rules! settings_by_name {
    ($settings:ty { $($name:literal => $field:ident,)* }) => {
        impl crate::common::settings::ByName for $settings {
            fn set(&mut self, name: &str, value: &gstreamer::glib::Value) -> bool {
                match name {
                    // GObject has checked the type; a value of another one changes nothing.
                    $($name => if let Ok(value) = value.get() { self.$field = value },)*
                    _ => return false,
                }
                true
            }

            fn get(&self, name: &str) -> Option<gstreamer::glib::Value> {
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
