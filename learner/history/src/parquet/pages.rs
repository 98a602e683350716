//! What the crate `parquet` is given to decode.
//!
//! It asserts some of what it is told, and a file may say anything. So a file is checked before: how much is asked of it, where
//! its columns lie, how many values they have, and of each page how it is encoded.

use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};

use parquet::basic::{Compression, Encoding, Type};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::ColumnDescriptor;

/// A file of which nothing is read that it does not have.
#[derive(Debug)]
pub(super) struct Bounded(pub(super) File);

impl Length for Bounded {
    fn len(&self) -> u64 {
        Length::len(&self.0)
    }
}

impl ChunkReader for Bounded {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let mut file = self.0.try_clone()?;
        file.seek(SeekFrom::Start(start))?;
        Ok(BufReader::new(file))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<bytes::Bytes> {
        let (end, size) = (start.saturating_add(length as u64), Length::len(&self.0));
        if end > size {
            return Err(ParquetError::EOF(format!("it ends after {size} bytes, and should go on to {end}")));
        }
        let mut bytes = Vec::with_capacity(length);
        self.get_read(start)?.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Whether a column lies in a file of this size, has as many values as its group has rows, and is compressed in a way that is
/// read; or what is wrong.
pub(super) fn check(about: &ColumnChunkMetaData, rows: usize, size_bytes: u64) -> std::result::Result<(), String> {
    let compression = about.compression();
    if !is_read(compression) {
        let name = format!("{compression:?}");
        let name = name.split('(').next().unwrap_or_default();
        return Err(format!("is compressed as {name}, which is not read: write it with snappy"));
    }
    // It begins with its dictionary, when it has one.
    let start = about.dictionary_page_offset().unwrap_or(about.data_page_offset());
    let numbers = [start, about.data_page_offset(), about.compressed_size()].map(u64::try_from);
    let [Ok(start), Ok(data), Ok(length)] = numbers else {
        return Err("lies nowhere: its place is negative".to_owned());
    };
    if data > size_bytes || start.checked_add(length).is_none_or(|end| end > size_bytes) {
        return Err("lies beyond the end of the file: is it cut off?".to_owned());
    }
    match usize::try_from(about.num_values()) {
        Ok(values) if values == rows => Ok(()),
        _ => Err(format!("has {} values, and its group {rows} rows", about.num_values())),
    }
}

/// What is read without a library in C.
fn is_read(compression: Compression) -> bool {
    use Compression::{GZIP, LZ4, LZ4_RAW, SNAPPY, UNCOMPRESSED};
    matches!(compression, UNCOMPRESSED | SNAPPY | GZIP(_) | LZ4 | LZ4_RAW)
}

/// The pages of a column, as far as they are what is read.
pub(super) struct Checked {
    pages: Box<dyn PageReader>,
    is_text: bool,
    is_nullable: bool,
    has_dictionary: bool,
}

impl Checked {
    pub(super) fn new(pages: Box<dyn PageReader>, column: &ColumnDescriptor) -> Self {
        let is_text = column.physical_type() == Type::BYTE_ARRAY;
        Self { pages, is_text, is_nullable: column.max_def_level() > 0, has_dictionary: false }
    }

    fn check(&mut self, page: &Page) -> Result<()> {
        let values = self.values_of(page).ok_or_else(|| ParquetError::EOF("a page is cut short".to_owned()))?;
        let is_dictionary = matches!(page, Page::DictionaryPage { .. });
        match page.encoding() {
            _ if is_dictionary => self.has_dictionary = true,
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY if self.has_dictionary => return Ok(()),
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => {
                return Err(ParquetError::General("a page refers to a dictionary that is not there".to_owned()));
            }
            Encoding::PLAIN | Encoding::RLE => {}
            // The others are rare, and what decodes them asserts what a file says.
            other => {
                let what =
                    format!("a column is encoded as {other}, which is not read: write it as PLAIN or by a dictionary");
                return Err(ParquetError::NYI(what));
            }
        }
        if self.is_text && !has_texts(values, page.num_values()) {
            return Err(ParquetError::EOF("a page has fewer texts than rows: is a time missing?".to_owned()));
        }
        Ok(())
    }

    /// What stands behind a page's levels; `None` when they are not in it.
    fn values_of<'p>(&self, page: &'p Page) -> Option<&'p [u8]> {
        let bytes: &[u8] = page.buffer();
        match page {
            Page::DictionaryPage { .. } => Some(bytes),
            Page::DataPage { def_level_encoding: Encoding::RLE, .. } if self.is_nullable => {
                let (length, rest) = bytes.split_first_chunk()?;
                rest.get(usize::try_from(u32::from_le_bytes(*length)).ok()?..)
            }
            Page::DataPage { .. } => (!self.is_nullable).then_some(bytes),
            Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
                bytes.get(usize::try_from(def_levels_byte_len.checked_add(*rep_levels_byte_len)?).ok()?..)
            }
        }
    }
}

/// Whether there are at least so many texts, each behind its length.
fn has_texts(bytes: &[u8], count: u32) -> bool {
    let mut rest = bytes;
    (0..count).all(|_| {
        let text = rest
            .split_first_chunk()
            .and_then(|(length, after)| after.get(usize::try_from(u32::from_le_bytes(*length)).ok()?..));
        rest = text.unwrap_or_default();
        text.is_some()
    })
}

impl Iterator for Checked {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Checked {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        page.as_ref().map_or(Ok(()), |page| self.check(page))?;
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.pages.at_record_boundary()
    }
}
