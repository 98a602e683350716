//! A reader of Rust text that knows just enough of the language to tell code from comments, strings and tests.

/// The text with every comment, string and character literal replaced by spaces; lines stay where they are.
pub(super) fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match (chars[at], chars.get(at + 1)) {
            ('/', Some('/')) => end_of_line(&chars, at),
            ('/', Some('*')) => end_of_block_comment(&chars, at),
            ('"', _) => end_of_string(&chars, at + 1),
            ('r' | 'b' | 'c', _) if !follows_word(&chars, at) => end_of_prefixed(&chars, at),
            ('\'', _) => end_of_char(&chars, at),
            _ => at,
        };
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            let blanked = &chars[at..end.min(chars.len())];
            code.extend(blanked.iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

fn follows_word(chars: &[char], at: usize) -> bool {
    at > 0 && is_word(chars[at - 1])
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn end_of_line(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|&c| c == '\n').map_or(chars.len(), |length| at + length)
}

fn end_of_block_comment(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut at = at;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// `at` is behind the opening quote.
fn end_of_string(chars: &[char], at: usize) -> usize {
    let mut at = at;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// `r"…"`, `r#"…"#`, `b"…"`, `br"…"`, `c"…"`, `b'…'`; anything else is no literal and ends where it begins.
fn end_of_prefixed(chars: &[char], at: usize) -> usize {
    let mut next = at + 1;
    let mut is_raw = chars[at] == 'r';
    if !is_raw && chars.get(next) == Some(&'r') {
        is_raw = true;
        next += 1;
    }
    let hashes = chars[next.min(chars.len())..].iter().take_while(|&&c| c == '#').count();
    match chars.get(next + hashes) {
        Some('"') if is_raw => {
            let closing: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            let body = next + hashes + 1;
            chars[body..]
                .windows(closing.len())
                .position(|window| window == closing)
                .map_or(chars.len(), |length| body + length + closing.len())
        }
        Some('"') if hashes == 0 => end_of_string(chars, next + 1),
        Some('\'') if chars[at] == 'b' && hashes == 0 => end_of_char(chars, next),
        _ => at,
    }
}

/// A character literal; a lifetime ends where it begins.
fn end_of_char(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => {
            let mut end = at + 3;
            while end < chars.len() && chars[end] != '\'' {
                end += 1;
            }
            end + 1
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

/// Blanks every item behind `#[cfg(test)]` or another `cfg` that needs `test`, in text from [`code_only`]. Also
/// answers the names of modules in other files that are only compiled for tests.
pub(super) fn without_tests(code: &str) -> (String, Vec<String>) {
    let mut kept = code.to_owned();
    let mut modules = Vec::new();
    let mut from = 0;
    while let Some(found) = kept[from..].find("#[cfg(") {
        let start = from + found;
        let end_of_attribute = kept[start..].find(']').map_or(kept.len(), |end| start + end + 1);
        from = end_of_attribute;
        let condition = &kept[start..end_of_attribute];
        let needs_test = condition == "#[cfg(test)]" || condition.starts_with("#[cfg(all(test");
        if !needs_test {
            continue;
        }
        let end = end_of_item(&kept, end_of_attribute);
        let item = kept[end_of_attribute..end].trim();
        if let Some(name) = item.strip_suffix(';').and_then(|item| item.split("mod ").nth(1)) {
            modules.push(name.trim().to_owned());
        }
        let blank: String = kept[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        kept.replace_range(start..end, &blank);
        from = start;
    }
    (kept, modules)
}

/// The end of the item that begins at `from`: behind its `;` or its closing brace.
fn end_of_item(code: &str, from: usize) -> usize {
    match code[from..].find([';', '{']) {
        None => code.len(),
        Some(offset) if code[from + offset..].starts_with(';') => from + offset + 1,
        Some(offset) => closing_brace(code, from + offset) + 1,
    }
}

/// The place of the brace that closes the one at `open`; the last character when there is none.
pub(super) fn closing_brace(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return open + at;
        }
    }
    code.len().saturating_sub(1)
}

/// Every place where `word` stands as a word of its own.
pub(super) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_characters_are_not_code() {
        let text = r####"
            // unsafe {
            /* unsafe { /* nested */ unsafe */
            let a = "unsafe \" {"; let b = r#"unsafe " {"#; let c = b"unsafe"; let d = '{'; let e = b'\'';
            let f: &'static str = x; let barb = 1; keep();
        "####;
        let code = code_only(text);
        assert!(!code.contains("unsafe") && !code.contains('{'), "{code}");
        assert!(code.contains("&'static str") && code.contains("barb") && code.contains("keep()"));
        assert_eq!(code.lines().count(), text.lines().count());
    }

    #[test]
    fn test_modules_are_blanked_and_those_in_other_files_are_named() {
        let code = "fn a() {}\n#[cfg(test)]\nmod golden;\n#[cfg(all(test, not(loom)))]\nmod tests {\n fn b() { x }\n}\nfn c() {}\n#[cfg(loom)]\nfn d() {}\n";
        let (kept, modules) = without_tests(code);
        assert_eq!(modules, ["golden"]);
        assert!(kept.contains("fn a") && kept.contains("fn c") && kept.contains("fn d"));
        assert!(!kept.contains("fn b"));
        assert_eq!(kept.lines().count(), code.lines().count());
    }

    #[test]
    fn words_are_whole_words() {
        assert_eq!(words("unsafe_code unsafe (unsafe)", "unsafe").count(), 2);
    }
}
