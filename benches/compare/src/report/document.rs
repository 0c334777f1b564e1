//! Parts of a Markdown file that are made from a run, between `<!-- compare: NAME -->` and `<!-- /compare -->`.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::Result;

const BEGIN: &str = "<!-- compare: ";
const END: &str = "<!-- /compare -->";

/// The document with every part of that kind replaced; what somebody wrote between them stays, and so does a part for which
/// there is no text.
pub(crate) fn with_parts(document: &str, parts: &BTreeMap<&'static str, Option<String>>) -> Result<String> {
    let mut text = String::new();
    let mut rest = document;
    while let Some(at) = rest.find(BEGIN) {
        let (before, marked) = rest.split_at(at);
        let (first, after) = marked.split_once('\n').unwrap_or((marked, ""));
        let name = first.trim_start_matches(BEGIN).trim_end().trim_end_matches("-->").trim();
        let part = parts.get(name).ok_or_else(|| {
            let names: Vec<_> = parts.keys().copied().collect();
            format!("the document asks for a part `{name}`; there are: {}", names.join(", "))
        })?;
        let end = after.find(END).ok_or_else(|| format!("the part `{name}` has no end: {END}"))?;
        text.push_str(before);
        text.push_str(first);
        let (old, after) = after.split_at(end);
        match part {
            Some(part) => write!(text, "\n\n{}\n\n", part.trim())?,
            None => write!(text, "\n{old}")?,
        }
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> BTreeMap<&'static str, Option<String>> {
        let text = |text: &str| Some(text.to_owned());
        BTreeMap::from([("one", text("| new |\n")), ("two", text("2")), ("none", None)])
    }

    #[test]
    fn parts_are_replaced_and_the_rest_stays() {
        let old = "# A\n<!-- compare: one -->\n| old |\n<!-- /compare -->\nby hand\n<!-- compare: two -->\n<!-- /compare -->\nend\n";
        let new = "# A\n<!-- compare: one -->\n\n| new |\n\n<!-- /compare -->\nby hand\n<!-- compare: two -->\n\n2\n\n<!-- /compare -->\nend\n";
        assert_eq!(with_parts(old, &parts()).unwrap(), new);
        assert_eq!(with_parts(new, &parts()).unwrap(), new, "writing twice changes nothing");
    }

    #[test]
    fn a_part_without_a_text_stays_as_it_is() {
        for old in ["", "\n| old |\n\n"] {
            let document = format!("a\n<!-- compare: none -->\n{old}<!-- /compare -->\nb\n");
            assert_eq!(with_parts(&document, &parts()).unwrap(), document);
        }
    }

    #[test]
    fn a_part_that_does_not_exist_or_does_not_end_is_named() {
        let unknown = with_parts("<!-- compare: three -->\n<!-- /compare -->\n", &parts()).unwrap_err();
        assert!(unknown.to_string().contains("three"), "{unknown}");
        let open = with_parts("<!-- compare: one -->\n", &parts()).unwrap_err();
        assert!(open.to_string().contains("no end"), "{open}");
    }
}
