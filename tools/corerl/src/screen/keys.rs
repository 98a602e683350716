//! Keys, from the bytes that a terminal sends.
//!
//! Read here and not by the terminal library, whose reader spins for ever when the terminal has gone away.

/// The longest sequence that is waited for; a longer one is none.
const SEQUENCE_BYTES_MAX: usize = 16;
const ESCAPE: u8 = 0x1b;

/// A key that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    Tab,
    BackTab,
    Enter,
    Escape,
    Backspace,
    /// F1 to F12.
    Function(u8),
    /// Ctrl and a letter.
    Control(char),
    /// Any character that can be seen, and the space.
    Char(char),
}

/// Bytes that came in and are no whole key yet.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pending: Vec<u8>,
}

impl Keys {
    /// Takes in what the terminal sent.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next key that is complete.
    pub(super) fn next(&mut self) -> Option<Key> {
        while !self.pending.is_empty() {
            let (length, key) = read(&self.pending)?;
            self.pending.drain(..length.min(self.pending.len()));
            if key.is_some() {
                return key;
            }
        }
        None
    }

    /// More has to come before it is a key.
    pub(super) fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Nothing more comes for a while: an escape that began nothing was the key of that name.
    pub(super) fn settle(&mut self) -> Option<Key> {
        let begun = self.pending.first().copied();
        self.pending.clear();
        begun.filter(|first| *first == ESCAPE).map(|_| Key::Escape)
    }
}

/// The key that the bytes begin with, and its length; no key where they mean nothing, `None` where more has to come.
fn read(bytes: &[u8]) -> Option<(usize, Option<Key>)> {
    let (first, rest) = bytes.split_first()?;
    match (*first, rest) {
        (ESCAPE, []) => None,
        (ESCAPE, [b'[', rest @ ..]) => control_sequence(rest),
        (ESCAPE, [b'O', rest @ ..]) => rest.first().map(|last| (3, short_sequence(*last))),
        (ESCAPE, _) => Some((1, Some(Key::Escape))),
        (b'\t', _) => Some((1, Some(Key::Tab))),
        (b'\r' | b'\n', _) => Some((1, Some(Key::Enter))),
        (0x7f | 0x08, _) => Some((1, Some(Key::Backspace))),
        (letter @ 1..=26, _) => Some((1, Some(Key::Control(char::from(letter - 1 + b'a'))))),
        (0..0x20, _) => Some((1, None)),
        _ => character(bytes),
    }
}

/// What stands between `ESC [` and the byte that ends it.
fn control_sequence(rest: &[u8]) -> Option<(usize, Option<Key>)> {
    // The Linux console's F1 to F5.
    if let [b'[', last, ..] = rest {
        let key = matches!(last, b'A'..=b'E').then(|| Key::Function(last - b'A' + 1));
        return Some((4, key));
    }
    let Some(end) = rest.iter().position(|byte| matches!(byte, 0x40..=0x7e) && *byte != b'[') else {
        return (rest.len() > SEQUENCE_BYTES_MAX).then_some((2 + rest.len(), None));
    };
    let number = rest.iter().take(end).take_while(|byte| byte.is_ascii_digit());
    let number = number.fold(0_u32, |number, digit| number.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
    let key = match rest.get(end) {
        Some(b'~') => numbered(number),
        Some(last) => short_sequence(*last),
        None => None,
    };
    Some((2 + end + 1, key))
}

fn short_sequence(last: u8) -> Option<Key> {
    match last {
        b'A' => Some(Key::Up),
        b'B' => Some(Key::Down),
        b'C' => Some(Key::Right),
        b'D' => Some(Key::Left),
        b'H' => Some(Key::Home),
        b'F' => Some(Key::End),
        b'Z' => Some(Key::BackTab),
        b'P'..=b'S' => Some(Key::Function(last - b'P' + 1)),
        _ => None,
    }
}

fn numbered(number: u32) -> Option<Key> {
    match number {
        1 | 7 => Some(Key::Home),
        4 | 8 => Some(Key::End),
        5 => Some(Key::PageUp),
        6 => Some(Key::PageDown),
        11..=15 => Some(Key::Function(number as u8 - 10)),
        17..=21 => Some(Key::Function(number as u8 - 11)),
        23..=24 => Some(Key::Function(number as u8 - 12)),
        _ => None,
    }
}

/// A character of UTF-8; bytes that are none are passed over.
fn character(bytes: &[u8]) -> Option<(usize, Option<Key>)> {
    let length = match bytes.first()? {
        0..0x80 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf8 => 4,
        _ => return Some((1, None)),
    };
    let found = bytes.get(..length)?;
    match str::from_utf8(found).ok().and_then(|text| text.chars().next()) {
        Some(character) if !character.is_control() => Some((length, Some(Key::Char(character)))),
        _ => Some((1, None)),
    }
}

/// A line that is being typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prompt {
    text: String,
}

/// The longest line that can be typed.
const PROMPT_CHARS_MAX: usize = 64;

impl Prompt {
    /// What was typed so far.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Forgets what was typed.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
    }

    /// Takes a key in; whether it means to go on typing. Enter ends it, Escape ends it and forgets.
    pub(crate) fn take(&mut self, key: Key) -> bool {
        match key {
            Key::Char(character) if self.text.chars().count() < PROMPT_CHARS_MAX => self.text.push(character),
            Key::Backspace => {
                self.text.pop();
            }
            Key::Control('u') => self.text.clear(),
            Key::Enter => return false,
            Key::Escape => {
                self.text.clear();
                return false;
            }
            _ => {}
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Vec<Key> {
        let mut keys = Keys::default();
        keys.take(bytes);
        std::iter::from_fn(|| keys.next()).collect()
    }

    #[test]
    fn the_sequences_of_the_usual_terminals_are_their_keys() {
        assert_eq!(all(b"\x1b[A\x1b[B\x1bOC\x1b[D"), [Key::Up, Key::Down, Key::Right, Key::Left]);
        assert_eq!(all(b"\x1b[5~\x1b[6~\x1b[H\x1b[4~"), [Key::PageUp, Key::PageDown, Key::Home, Key::End]);
        assert_eq!(all(b"\x1bOP\x1b[15~\x1b[17~\x1b[24~\x1b[[B"), [1, 5, 6, 12, 2].map(Key::Function));
        assert_eq!(
            all("\t\x1b[Z\r\x7f\x03ö".as_bytes()),
            [Key::Tab, Key::BackTab, Key::Enter, Key::Backspace, Key::Control('c'), Key::Char('ö'),]
        );
        assert_eq!(all(b"\x1b[1;5Aq"), [Key::Up, Key::Char('q')], "with Ctrl it is the same key");
    }

    #[test]
    fn a_key_that_comes_in_pieces_is_one_and_a_lone_escape_is_itself() {
        let mut keys = Keys::default();
        keys.take(b"\x1b[");
        assert_eq!(keys.next(), None);
        keys.take(b"6~\x1b");
        assert_eq!((keys.next(), keys.next()), (Some(Key::PageDown), None));
        assert_eq!((keys.settle(), keys.settle()), (Some(Key::Escape), None));
        keys.take(&"é".as_bytes()[..1]);
        assert_eq!((keys.next(), keys.settle()), (None, None));
    }

    #[test]
    fn any_bytes_are_some_keys_or_none_and_are_used_up() {
        for seed in 0..=u8::MAX {
            let bytes: Vec<u8> = (0..64_u8).map(|n| n.wrapping_mul(seed).wrapping_add(seed ^ n)).collect();
            let mut keys = Keys::default();
            keys.take(&bytes);
            assert!(std::iter::from_fn(|| keys.next()).count() <= bytes.len());
            keys.settle();
            keys.take(b"q");
            assert_eq!(keys.next(), Some(Key::Char('q')));
        }
        let endless = [b"\x1b[".as_slice(), &[b'0'; 40]].concat();
        assert_eq!(all(&endless), []);
    }

    #[test]
    fn a_prompt_takes_characters_until_enter_and_escape_forgets_them() {
        let mut prompt = Prompt::default();
        assert!(
            [Key::Char('p'), Key::Char('x'), Key::Backspace, Key::Char('h'), Key::Up].map(|key| prompt.take(key))[4]
        );
        assert!(!prompt.take(Key::Enter));
        assert_eq!(prompt.text(), "ph");
        (0..2 * PROMPT_CHARS_MAX).for_each(|_| assert!(prompt.take(Key::Char('x'))));
        assert_eq!(prompt.text().chars().count(), PROMPT_CHARS_MAX);
        assert!(!prompt.take(Key::Escape));
        assert_eq!(prompt.text(), "");
    }
}
