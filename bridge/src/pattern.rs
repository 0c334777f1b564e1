//! Which topics: patterns as a shell has them.

/// A pattern of names: `*` stands for any characters, slashes included, `?` for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<char>);

impl Pattern {
    /// Every text is a pattern.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.chars().collect())
    }

    /// Whether it stands for `name`.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        // Where to go on when what follows the last star does not fit: it takes one character more.
        let (mut at, mut star) = ((0, 0), None);
        loop {
            match (self.0.get(at.0), name.get(at.1)) {
                (Some('*'), _) => {
                    star = Some(at);
                    at.0 += 1;
                }
                (Some('?'), Some(_)) => at = (at.0 + 1, at.1 + 1),
                (Some(wanted), Some(found)) if wanted == found => at = (at.0 + 1, at.1 + 1),
                (None, None) => return true,
                _ => match &mut star {
                    Some((_, taken)) if *taken < name.len() => {
                        *taken += 1;
                        at = (star.map_or(0, |(pattern, _)| pattern) + 1, star.map_or(0, |(_, taken)| taken));
                    }
                    _ => return false,
                },
            }
        }
    }
}

/// Whether one of them stands for `name`.
#[must_use]
pub fn any(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name, expected) in [
            ("cam0", "cam0", true),
            ("cam0", "cam01", false),
            ("*", "", true),
            ("*", "robot/cam0", true),
            ("robot/*", "robot/cam0", true),
            ("robot/*", "other/cam0", false),
            ("*/cam?", "robot/arm/cam7", true),
            ("*/cam?", "robot/arm/cam", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("*é", "caffé", true),
            ("", "", true),
            ("", "x", false),
            ("**", "x", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_take_no_long_time() {
        assert!(!Pattern::new(&"*a".repeat(50)).matches(&"b".repeat(2000)));
    }
}
