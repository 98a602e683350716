//! A table that can be put in order, filtered and scrolled.

use std::cmp::Ordering;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::screen::{Look, Theme};
use crate::top::state::{Drawn, Listing};

/// A column; the first one takes the room that the others leave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Its width, the least one for the first column.
    pub(super) width: usize,
    /// Numbers stand to the right.
    pub(super) right: bool,
    /// Shown on screens of at least this width.
    pub(super) from: u16,
}

impl Column {
    pub(super) const fn text(title: &'static str, width: usize) -> Self {
        Self { title, width, right: false, from: 0 }
    }

    pub(super) const fn number(title: &'static str, width: usize) -> Self {
        Self { title, width, right: true, from: 0 }
    }

    pub(super) const fn from(self, from: u16) -> Self {
        Self { from, ..self }
    }
}

/// A cell, and what it is ordered by.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    look: Look,
    /// The number that it stands for; else it is ordered by its text.
    number: Option<f64>,
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), look: Look::Plain, number: None }
    }

    pub(super) fn number(text: impl Into<String>, number: f64) -> Self {
        Self { number: Some(number), ..Self::text(text) }
    }

    pub(super) fn look(self, look: Look) -> Self {
        Self { look, ..self }
    }

    /// What is no number comes last, in either order of the others.
    fn compare(&self, other: &Self, inverted: bool) -> Ordering {
        let turn = |order: Ordering| if inverted { order.reverse() } else { order };
        match (self.number, other.number) {
            (Some(one), Some(other)) => match (one.is_nan(), other.is_nan()) {
                (false, false) => turn(one.total_cmp(&other)),
                (one, other) => one.cmp(&other),
            },
            _ => turn(self.text.to_lowercase().cmp(&other.text.to_lowercase())),
        }
    }
}

/// A table.
pub(super) struct Grid {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<Cell>>,
    /// What is said when there is no row.
    pub(super) empty: String,
}

impl Grid {
    pub(super) fn draw(mut self, area: Rect, buffer: &mut Buffer, listing: &Listing, theme: Theme) -> Drawn {
        let all = self.rows.len();
        self.filter(listing.filter.text());
        self.order(listing);
        let page = usize::from(area.height.saturating_sub(1));
        let drawn = Drawn { rows: self.rows.len(), page, columns: self.columns.len() };
        if area.height == 0 {
            return drawn;
        }
        let places = self.places(area);
        self.heading(&places, area, buffer, listing, theme);
        if self.rows.is_empty() && area.height > 1 {
            let filtered = format!("none of {all} matches `{}`; Esc forgets the filter", listing.filter.text());
            let said = if all == 0 { &self.empty } else { &filtered };
            let said = theme.fit(said, area.width.into());
            buffer.set_string(area.x, area.y + 1, said, theme.style(Look::Muted));
        }
        // The marked row stays in the middle as far as there are others around it.
        let offset = listing.chosen.saturating_sub(page / 2).min(self.rows.len().saturating_sub(page));
        let shown = self.rows.iter().enumerate().skip(offset).take(page);
        for ((index, row), y) in shown.zip(area.y + 1..) {
            let chosen = index == listing.chosen;
            for (column, (cell, place)) in row.iter().zip(&places).enumerate() {
                let text = if column == 0 { theme.fit_name(&cell.text, place.width) } else { cell.text.clone() };
                place.put(&text, y, theme.style(cell.look), buffer, theme);
            }
            if chosen {
                buffer.set_style(Rect::new(area.x, y, area.width, 1), theme.style(Look::Chosen));
            }
        }
        drawn
    }

    fn filter(&mut self, wanted: &str) {
        let wanted = wanted.to_lowercase();
        self.rows.retain(|row| row.iter().any(|cell| cell.text.to_lowercase().contains(&wanted)));
    }

    fn order(&mut self, listing: &Listing) {
        match listing.order {
            Some(column) => self.rows.sort_by(|one, other| match (one.get(column), other.get(column)) {
                (Some(one), Some(other)) => one.compare(other, listing.inverted),
                _ => Ordering::Equal,
            }),
            None if listing.inverted => self.rows.reverse(),
            None => {}
        }
    }

    /// Where the columns lie; one that has no room has no width.
    fn places(&self, area: Rect) -> Vec<Place> {
        let is_shown = |column: &Column| area.width >= column.from;
        let others: usize =
            self.columns.iter().skip(1).filter(|column| is_shown(column)).map(|column| column.width + 1).sum();
        let mut x = area.x;
        let place = |(index, column): (usize, &Column)| {
            let left = usize::from(area.right().saturating_sub(x));
            let wanted = if index == 0 {
                usize::from(area.width).saturating_sub(others).max(column.width)
            } else {
                column.width
            };
            let width = if is_shown(column) { wanted.min(left) } else { 0 };
            let place = Place { x, width, right: column.right };
            if width > 0 {
                x = x.saturating_add(width as u16 + 1);
            }
            place
        };
        self.columns.iter().enumerate().map(place).collect()
    }

    fn heading(&self, places: &[Place], area: Rect, buffer: &mut Buffer, listing: &Listing, theme: Theme) {
        for (index, (column, place)) in self.columns.iter().zip(places).enumerate() {
            let sign = match (listing.order == Some(index), listing.inverted) {
                (false, _) => "",
                (true, false) => "^",
                (true, true) => "v",
            };
            place.put(&format!("{}{sign}", column.title), area.y, theme.style(Look::Heading), buffer, theme);
        }
    }
}

struct Place {
    x: u16,
    width: usize,
    right: bool,
}

impl Place {
    fn put(&self, text: &str, y: u16, style: ratatui::style::Style, buffer: &mut Buffer, theme: Theme) {
        let text = theme.fit(text, self.width);
        let width = self.width;
        let text = if self.right { format!("{text:>width$}") } else { format!("{text:<width$}") };
        buffer.set_stringn(self.x, y, text, self.width, style);
    }
}
