//! Lines in the cells of a terminal: eight braille dots to a cell, or one character.

/// Lines go no farther beyond the picture than this many heights; nobody sees how far.
const BEYOND: f64 = 2.0;

/// How lines are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pen {
    /// Braille dots, two by four to a cell.
    Braille,
    /// The mark of the channel.
    Ascii,
}

impl Pen {
    const fn dots(self) -> (usize, usize) {
        match self {
            Self::Braille => (2, 4),
            Self::Ascii => (1, 1),
        }
    }
}

/// Cells with dots in them.
#[derive(Debug)]
pub(crate) struct Raster {
    pen: Pen,
    width: usize,
    height: usize,
    /// Per cell: its dots as in the Unicode block, and the channel that drew last.
    cells: Vec<(u8, usize)>,
}

impl Raster {
    pub(crate) fn new(pen: Pen, width: usize, height: usize) -> Self {
        Self { pen, width, height, cells: vec![(0, 0); width * height] }
    }

    /// Columns of dots.
    pub(crate) const fn columns(&self) -> usize {
        self.width * self.pen.dots().0
    }

    /// A line between two columns; heights from 0 at the bottom to 1 at the top.
    pub(crate) fn line(&mut self, channel: usize, from: (usize, f64), to: (usize, f64)) {
        let rows = (self.height * self.pen.dots().1) as f64;
        let row = |height: f64| (rows - 1.0) * (1.0 - height.clamp(-BEYOND, 1.0 + BEYOND));
        let (y0, y1) = (row(from.1), row(to.1));
        let steps = from.0.abs_diff(to.0).max((y1 - y0).abs().ceil() as usize).max(1);
        for step in 0..=steps {
            let share = step as f64 / steps as f64;
            let x = from.0 as f64 + (to.0 as f64 - from.0 as f64) * share;
            let y = (y0 + (y1 - y0) * share).round();
            if (0.0..rows).contains(&y) {
                self.dot(channel, x.round() as usize, y as usize);
            }
        }
    }

    fn dot(&mut self, channel: usize, x: usize, y: usize) {
        /// Bits of the Unicode block, by column and row.
        const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
        let (across, down) = self.pen.dots();
        if x >= self.columns() {
            return;
        }
        if let Some((dots, by)) = self.cells.get_mut(y / down * self.width + x / across) {
            *dots |= BITS[x % across][y % down];
            *by = channel;
        }
    }

    /// Every cell with something in it: its column, its row, what to put there, and the channel.
    pub(crate) fn drawn(&self) -> impl Iterator<Item = (usize, usize, char, usize)> {
        let cells = self.cells.iter().enumerate().filter(|(_, (dots, _))| *dots != 0);
        cells.map(|(place, &(dots, channel))| {
            let shown = match self.pen {
                Pen::Braille => char::from_u32(0x2800 + u32::from(dots)).unwrap_or('?'),
                Pen::Ascii => mark(channel),
            };
            (place % self.width, place / self.width, shown, channel)
        })
    }
}

/// The mark of a channel: 1 to 9, then letters.
pub(crate) fn mark(channel: usize) -> char {
    u32::try_from(channel + 1).ok().and_then(|number| char::from_digit(number, 36)).unwrap_or('?')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(raster: &Raster) -> Vec<String> {
        let mut lines = vec![vec![' '; raster.width]; raster.height];
        raster.drawn().for_each(|(x, y, shown, _)| lines[y][x] = shown);
        lines.into_iter().map(|line| line.into_iter().collect()).collect()
    }

    #[test]
    fn lines_are_drawn_from_left_bottom_to_right_top() {
        let mut raster = Raster::new(Pen::Braille, 4, 2);
        raster.line(0, (0, 0.0), (7, 1.0));
        assert_eq!(text(&raster), ["  ⡠⠊", "⡠⠊  "]);
        let mut raster = Raster::new(Pen::Ascii, 4, 3);
        raster.line(0, (0, 0.0), (3, 0.0));
        raster.line(10, (2, -1e9), (2, f64::INFINITY));
        assert_eq!(text(&raster), ["  b ", "  b ", "11b1"]);
    }

    #[test]
    fn what_lies_outside_is_not_drawn() {
        let mut raster = Raster::new(Pen::Braille, 4, 2);
        raster.line(0, (0, 1.5), (7, 3.0));
        raster.line(0, (8, 1.0), (100, 1.0));
        assert_eq!(raster.drawn().count(), 0);
    }
}
