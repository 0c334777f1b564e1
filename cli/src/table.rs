//! Columns that line up, and fit the terminal.

use std::io::{self, Write};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A column. Where there is too little room the one with the highest `rank` is left out first; those of rank 0 stay, and
/// are cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    title: &'static str,
    align: Align,
    rank: u8,
}

/// A column of text.
pub(crate) const fn left(title: &'static str, rank: u8) -> Column {
    Column { title, align: Align::Left, rank }
}

/// A column of numbers.
pub(crate) const fn right(title: &'static str, rank: u8) -> Column {
    Column { title, align: Align::Right, rank }
}

/// A table: a heading, and rows of as many cells.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    columns: [Column; N],
    rows: Vec<[String; N]>,
}

/// Blanks between two columns.
const GAP: usize = 2;
/// A column is not cut to less.
const LEAST: usize = 8;

impl<const N: usize> Table<N> {
    pub(crate) fn new(columns: [Column; N]) -> Self {
        Self { columns, rows: vec![columns.map(|column| column.title.to_owned())] }
    }

    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    /// Width of each column in `width` columns of a terminal; 0 for those that are left out.
    fn widths(&self, width: Option<usize>) -> [usize; N] {
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        // A column without anything but its title tells nothing.
        for (i, (width, column)) in widths.iter_mut().zip(&self.columns).enumerate() {
            let empty = self.rows.iter().skip(1).all(|row| row.get(i).is_none_or(String::is_empty));
            if empty && column.rank != 0 && self.rows.len() > 1 {
                *width = 0;
            }
        }
        let Some(room) = width else { return widths };
        let total = |widths: &[usize; N]| -> usize {
            let shown = widths.iter().filter(|width| **width != 0);
            shown.map(|width| width + GAP).sum::<usize>().saturating_sub(GAP)
        };
        while total(&widths) > room {
            let least = widths.iter_mut().zip(&self.columns).filter(|(width, _)| **width != 0);
            match least.filter(|(_, column)| column.rank != 0).max_by_key(|(_, column)| column.rank) {
                Some((width, _)) => *width = 0,
                None => break,
            }
        }
        while total(&widths) > room {
            match widths.iter_mut().filter(|width| **width > LEAST).max() {
                Some(widest) => *widest -= 1,
                None => break,
            }
        }
        widths
    }

    /// Writes the table without blanks at the ends of lines, in lines of at most `width` columns.
    pub(crate) fn write(&self, out: &mut dyn Write, width: Option<usize>) -> io::Result<()> {
        let widths = self.widths(width);
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), column) in row.iter().zip(widths).zip(self.columns) {
                if width == 0 {
                    continue;
                }
                let cell = cut(cell, width);
                let gap = " ".repeat(width.saturating_sub(cell.width()));
                let (before, behind) = match column.align {
                    Align::Right => (gap.as_str(), ""),
                    Align::Left => ("", gap.as_str()),
                };
                line.extend([before, &cell, behind, "  "]);
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A text in at most so many columns.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        short.push(c);
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(table: &Table<3>, width: Option<usize>) -> String {
        let mut out = Vec::new();
        table.write(&mut out, width).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_line_up() {
        let mut table = Table::new([left("NAME", 0), right("N", 1), left("X", 2)]);
        table.row(["é".into(), "10".into(), String::new()]);
        table.row(["longer".into(), "7".into(), "y".into()]);
        assert_eq!(text(&table, None), "NAME     N  X\né       10\nlonger   7  y\n");
        table.row(["猫".into(), "1".into(), "z".into()]);
        assert!(text(&table, None).ends_with("猫       1  z\n"), "wide characters take two columns");
    }

    #[test]
    fn what_is_not_needed_goes_first_and_then_text_is_cut() {
        let mut table = Table::new([left("NAME", 0), right("N", 1), left("X", 2)]);
        table.row(["a long name indeed".into(), "10".into(), "extra".into()]);
        assert_eq!(text(&table, Some(30)), "NAME                 N  X\na long name indeed  10  extra\n");
        assert_eq!(text(&table, Some(25)), "NAME                 N\na long name indeed  10\n");
        assert_eq!(text(&table, Some(20)), "NAME\na long name indeed\n");
        assert_eq!(text(&table, Some(10)), "NAME\na long na…\n");
        assert_eq!(text(&table, Some(1)), "NAME\na long …\n", "not to nothing");
    }

    #[test]
    fn a_column_with_nothing_in_it_is_not_shown() {
        let mut table = Table::new([left("NAME", 0), right("N", 1), left("X", 2)]);
        table.row(["a".into(), String::new(), "y".into()]);
        assert_eq!(text(&table, None), "NAME  X\na     y\n");
    }
}
