//! What the person at the screen has chosen: tab, filter, order, place; and what each key changes in it.

use crate::screen::{Key, Prompt};

/// The tabs in their order on the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tab {
    #[default]
    Overview,
    Tags,
    Setpoints,
    Policy,
    Threads,
    Events,
}

impl Tab {
    pub(super) const ALL: [Self; 6] =
        [Self::Overview, Self::Tags, Self::Setpoints, Self::Policy, Self::Threads, Self::Events];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Tags => "tags",
            Self::Setpoints => "setpoints",
            Self::Policy => "policy",
            Self::Threads => "threads",
            Self::Events => "events",
        }
    }

    fn at(self, steps: usize) -> Self {
        Self::ALL.into_iter().cycle().nth(self as usize + steps).unwrap_or(self)
    }
}

/// What was chosen for one tab's table.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    pub(super) filter: Prompt,
    /// The column that the rows are in the order of; as they come without one.
    pub(super) order: Option<usize>,
    pub(super) inverted: bool,
    /// The row that is marked.
    pub(super) chosen: usize,
}

/// What the table on the screen holds, as it was drawn last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Drawn {
    pub(super) rows: usize,
    /// Rows that fit on the screen.
    pub(super) page: usize,
    pub(super) columns: usize,
}

/// What a key asks of the program beyond another picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Nothing,
    Quit,
    Freeze,
    Redraw,
    NextAgent,
    PreviousAgent,
}

/// What was chosen.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) tab: Tab,
    pub(super) help: bool,
    /// A filter is being typed.
    pub(super) typing: bool,
    listings: [Listing; Tab::ALL.len()],
    drawn: Drawn,
}

impl State {
    /// With this tab open.
    pub(super) fn on(tab: Tab) -> Self {
        Self { tab, ..Self::default() }
    }

    /// What was chosen for the present tab.
    pub(super) fn listing(&self) -> &Listing {
        &self.listings[self.tab as usize]
    }

    fn listing_mut(&mut self) -> &mut Listing {
        &mut self.listings[self.tab as usize]
    }

    /// What the last picture held.
    pub(super) fn drawn(&mut self, drawn: Drawn) {
        self.drawn = drawn;
        let last = drawn.rows.saturating_sub(1);
        let listing = self.listing_mut();
        listing.chosen = listing.chosen.min(last);
    }

    /// Opens the tab to the right.
    pub(super) fn next_tab(&mut self) {
        self.tab = self.tab.at(1);
    }

    /// Takes a key in.
    pub(super) fn take(&mut self, key: Key) -> Asked {
        if self.typing && !matches!(key, Key::Control('c')) {
            self.typing = self.listing_mut().filter.take(key);
            return Asked::Nothing;
        }
        if std::mem::take(&mut self.help) && !matches!(key, Key::Char('q') | Key::Control('c')) {
            return Asked::Nothing;
        }
        match key {
            Key::Char('q') | Key::Function(10) | Key::Control('c') => return Asked::Quit,
            Key::Char(' ') => return Asked::Freeze,
            Key::Control('l') => return Asked::Redraw,
            Key::Char('n') => return Asked::NextAgent,
            Key::Char('p') => return Asked::PreviousAgent,
            Key::Char('?' | 'h') | Key::Function(1) => self.help = true,
            Key::Tab | Key::Right => self.next_tab(),
            Key::BackTab | Key::Left => self.tab = self.tab.at(Tab::ALL.len() - 1),
            Key::Char(digit @ '1'..='6') => self.tab = Tab::default().at(digit as usize - '1' as usize),
            Key::Char('/') | Key::Function(3 | 4) => self.typing = self.drawn.columns > 0,
            Key::Escape => self.listing_mut().filter.clear(),
            Key::Char('>') | Key::Function(6) => self.order_by(1),
            Key::Char('<') => self.order_by(self.drawn.columns),
            Key::Char('I') => self.listing_mut().inverted ^= true,
            key => self.go(key),
        }
        Asked::Nothing
    }

    /// The next column in a ring of all, and of none at all.
    fn order_by(&mut self, steps: usize) {
        let columns = self.drawn.columns;
        let listing = self.listing_mut();
        let place = listing.order.map_or(0, |column| column + 1);
        listing.order = ((place + steps) % (columns + 1)).checked_sub(1);
    }

    fn go(&mut self, key: Key) {
        let Drawn { rows, page, .. } = self.drawn;
        let last = rows.saturating_sub(1);
        let listing = self.listing_mut();
        listing.chosen = match key {
            Key::Up | Key::Char('k') => listing.chosen.saturating_sub(1),
            Key::Down | Key::Char('j') => listing.chosen + 1,
            Key::PageUp => listing.chosen.saturating_sub(page),
            Key::PageDown => listing.chosen + page,
            Key::Home => 0,
            Key::End => last,
            _ => listing.chosen,
        }
        .min(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_rows() -> State {
        let mut state = State::on(Tab::Tags);
        state.drawn(Drawn { rows: 50, page: 10, columns: 3 });
        state
    }

    #[test]
    fn tabs_are_a_ring_and_have_numbers() {
        let mut state = State::default();
        state.take(Key::BackTab);
        assert_eq!(state.tab, Tab::Events);
        state.take(Key::Tab);
        assert_eq!(state.tab, Tab::Overview);
        state.take(Key::Char('5'));
        assert_eq!(state.tab, Tab::Threads);
    }

    #[test]
    fn the_marked_row_stays_inside_of_the_table() {
        let mut state = with_rows();
        let mut after = |key| {
            state.take(key);
            state.listing().chosen
        };
        assert_eq!([Key::Up, Key::Down, Key::PageDown, Key::End, Key::Down].map(&mut after), [0, 1, 11, 49, 49]);
        assert_eq!([Key::PageUp, Key::Home].map(&mut after), [39, 0]);
        after(Key::End);
        state.drawn(Drawn { rows: 3, page: 10, columns: 3 });
        assert_eq!(state.listing().chosen, 2, "the table became shorter");
    }

    #[test]
    fn the_order_goes_through_all_columns_and_none() {
        let mut state = with_rows();
        let mut after = |key| {
            state.take(key);
            state.listing().order
        };
        assert_eq!([Key::Char('>'); 4].map(&mut after), [Some(0), Some(1), Some(2), None]);
        assert_eq!([Key::Char('<'), Key::Function(6)].map(&mut after), [Some(2), None]);
        state.take(Key::Char('I'));
        assert!(state.listing().inverted);
    }

    #[test]
    fn while_a_filter_is_typed_keys_are_letters() {
        let mut state = with_rows();
        for key in [Key::Char('/'), Key::Char('q'), Key::Char(' '), Key::Char('1')] {
            assert_eq!(state.take(key), Asked::Nothing);
        }
        assert_eq!((state.listing().filter.text(), state.tab, state.typing), ("q 1", Tab::Tags, true));
        state.take(Key::Enter);
        assert_eq!(state.take(Key::Char(' ')), Asked::Freeze);
        state.take(Key::Escape);
        assert_eq!(state.listing().filter.text(), "");
        state.take(Key::Char('/'));
        assert_eq!(state.take(Key::Control('c')), Asked::Quit);
    }

    #[test]
    fn any_key_leaves_the_help_and_some_ask_something_of_the_program() {
        let mut state = State::default();
        state.take(Key::Char('?'));
        assert!(state.help);
        assert_eq!(state.take(Key::Char(' ')), Asked::Nothing);
        assert!(!state.help);
        let asked = ['n', 'p', 'q'].map(|letter| state.take(Key::Char(letter)));
        assert_eq!(asked, [Asked::NextAgent, Asked::PreviousAgent, Asked::Quit]);
        assert_eq!(state.take(Key::Function(10)), Asked::Quit);
    }
}
