//! The traces, with what lies behind and before them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::columns::{Column, columns, gaps};

use super::scale::DIVISIONS;
use super::{DIVISIONS as COLUMNS, View};
use crate::screen::{Look, Pen, Raster, mark};

/// A trace has its mark every so many cells; the marks of two channels lie apart.
const MARK_EVERY: usize = 24;
const MARK_APART: usize = 3;

pub(super) fn draw(to: &mut Buffer, area: Rect, view: &View<'_>) {
    grid(to, area, view);
    let pen = if view.theme.unicode { Pen::Braille } else { Pen::Ascii };
    let mut raster = Raster::new(pen, area.width.into(), area.height.into());
    for channel in drawing_order(view) {
        trace(&mut raster, view, channel);
    }
    for (x, y, shown, channel) in raster.drawn() {
        let place = (x + MARK_APART * channel) % MARK_EVERY;
        let shown = if place == MARK_EVERY / 2 { mark(channel) } else { shown };
        put(to, area, (x as u16, y as u16), shown, view.style_of(channel));
    }
    cursors(to, area, view);
    losses(to, area, view);
    if view.picture.is_none_or(|picture| picture.samples.is_empty()) {
        view.write(to, area, "no samples yet", view.theme.style(Look::Muted));
    }
}

fn put(to: &mut Buffer, area: Rect, (x, y): (u16, u16), shown: char, style: ratatui::style::Style) {
    if let Some(cell) = to.cell_mut((area.x + x, area.y + y)) {
        cell.set_char(shown).set_style(style);
    }
}

/// Hidden ones not at all, and the selected one last, so that it lies in front.
fn drawing_order(view: &View<'_>) -> impl Iterator<Item = usize> {
    let selected = view.desk.selected;
    let shown: Vec<usize> =
        view.desk.traces.iter().enumerate().filter(|(_, trace)| !trace.is_hidden).map(|(place, _)| place).collect();
    let in_front = shown.contains(&selected).then_some(selected);
    shown.into_iter().filter(move |channel| *channel != selected).chain(in_front)
}

fn trace(raster: &mut Raster, view: &View<'_>, channel: usize) {
    let (Some(axis), Some(picture)) = (view.time_axis(raster.columns()), view.picture) else { return };
    let Some(scale) = view.desk.traces.get(channel).map(|trace| trace.scale) else { return };
    let mut before: Option<(usize, Column)> = None;
    for (x, column) in columns(picture.samples, channel, axis).into_iter().enumerate() {
        let Some(column) = column else { continue };
        if let Some((from, before)) = before.filter(|_| !column.is_cut_off) {
            raster.line(channel, (from, scale.height(before.last)), (x, scale.height(column.first)));
        }
        raster.line(channel, (x, scale.height(column.min)), (x, scale.height(column.max)));
        before = Some((x, column));
    }
}

/// Dots where divisions meet, a line where the trigger was, and an arrow at its level.
fn grid(to: &mut Buffer, area: Rect, view: &View<'_>) {
    let style = view.theme.style(Look::Muted);
    let (dot, line) = if view.theme.unicode { ('·', '┊') } else { ('.', ':') };
    for down in 0..=DIVISIONS as u16 {
        for across in 0..=COLUMNS as u16 {
            let place = |part: u16, of: f64, size: u16| {
                (f64::from(part) / of * f64::from(size.saturating_sub(1))).round() as u16
            };
            let at = (place(across, COLUMNS as f64, area.width), place(down, DIVISIONS, area.height));
            put(to, area, at, dot, style);
        }
    }
    if let Some(x) = view.x_of(area, 0).filter(|_| view.picture.is_some_and(|picture| picture.frame.triggered)) {
        (0..area.height).for_each(|y| put(to, area, (x - area.x, y), line, style));
    }
    if let Some((channel, level)) = view.desk.trigger_level() {
        let height = view.desk.traces.get(channel).map_or(f64::NAN, |trace| trace.scale.height(level));
        if (0.0..=1.0).contains(&height) {
            let y = ((1.0 - height) * f64::from(area.height.saturating_sub(1))).round() as u16;
            put(to, area, (0, y), if view.theme.unicode { '▶' } else { '>' }, view.style_of(channel));
        }
    }
}

fn cursors(to: &mut Buffer, area: Rect, view: &View<'_>) {
    let line = if view.theme.unicode { '│' } else { '|' };
    for at_ns in view.desk.cursors.at_ns.into_iter().flatten() {
        if let Some(x) = view.x_of(area, at_ns) {
            (0..area.height).for_each(|y| put(to, area, (x - area.x, y), line, view.theme.style(Look::Plain)));
        }
    }
}

/// Marks above the columns of which something is not known.
fn losses(to: &mut Buffer, area: Rect, view: &View<'_>) {
    let (Some(axis), Some(picture)) = (view.time_axis(area.width.into()), view.picture) else { return };
    for x in gaps(picture.samples, axis) {
        put(to, area, (x as u16, 0), 'x', view.theme.style(Look::Bad));
    }
}
