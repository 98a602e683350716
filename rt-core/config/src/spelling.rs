//! Which known name an unknown one was probably meant to be.

/// Characters of a word that are compared; longer words have no suggestion.
const WORD_MAX: usize = 64;

/// The known name nearest to `word`, when it is near enough to be worth saying.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = word.to_lowercase();
    let permitted = (folded.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .filter_map(|name| Some((distance(&folded, &name.to_lowercase())?, name)))
        .filter(|(distance, _)| *distance <= permitted)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The number of insertions, deletions, replacements and swaps of neighbours between two words (restricted
/// Damerau-Levenshtein); `None` for words that are too long to compare.
fn distance(a: &str, b: &str) -> Option<usize> {
    let a: Vec<char> = a.chars().take(WORD_MAX + 1).collect();
    let b: Vec<char> = b.chars().take(WORD_MAX + 1).collect();
    if a.len() > WORD_MAX || b.len() > WORD_MAX {
        return None;
    }
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, &from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &to) in b.iter().enumerate() {
            let replaced = rows[i][j] + usize::from(from != to);
            let mut best = replaced.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && from == b[j - 1] && a[i - 1] == to {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised() {
        let known = ["obs_period", "action_period", "agent_name"];
        assert_eq!(nearest("obs_perod", known), Some("obs_period"));
        assert_eq!(nearest("Agent_Name", known), Some("agent_name"));
        assert_eq!(nearest("agnet_name", known), Some("agent_name"));
    }

    #[test]
    fn a_different_word_gets_no_suggestion() {
        assert_eq!(nearest("temperature", ["obs_period", "seed"]), None);
        assert_eq!(nearest(&"x".repeat(1000), ["x"]), None);
    }
}
