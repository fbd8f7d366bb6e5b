//! Owns the making of display names out of what LabelLab allows as one.

use huddle_domain::{Name, limits::NAME_CHARACTERS_MAX};

/// `text` as a name: characters that no name holds are removed, and what is too long is cut. `id` when nothing visible
/// is left. Says whether the name is another than `text`.
pub(crate) fn clean(text: &str, id: i64) -> (Name, bool) {
    if let Ok(name) = Name::parse(text) {
        return (name, false);
    }
    let kept: String = text.chars().filter(|character| is_allowed(*character)).take(NAME_CHARACTERS_MAX).collect();
    // A number is visible, short and free of controls.
    let name = Name::parse(kept.trim()).or_else(|_| Name::parse(&id.to_string())).expect("a number is a name");
    (name, true)
}

fn is_allowed(character: char) -> bool {
    Name::parse(&format!("x{character}")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(text: &str) -> (String, bool) {
        let (name, changed) = clean(text, 42);
        (name.as_str().to_owned(), changed)
    }

    #[test]
    fn what_huddle_takes_as_a_name_stays_as_it_is() {
        assert_eq!(cleaned(" Zoë 🐙 "), (" Zoë 🐙 ".to_owned(), false));
    }

    #[test]
    fn what_it_does_not_take_is_removed_cut_or_replaced_by_the_id() {
        assert_eq!(cleaned("a\u{202e}b\nc"), ("abc".to_owned(), true));
        assert_eq!(cleaned(&"é".repeat(300)), ("é".repeat(200), true));
        for text in ["", "  ", "\n\u{200f}\t"] {
            assert_eq!(cleaned(text), ("42".to_owned(), true), "{text:?}");
        }
    }
}
