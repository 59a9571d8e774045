//! Counts what an XML part holds, without holding it.

/// What of a tag is remembered: enough for the name of any, and for what the first tag of the shared strings announces.
const TAG: usize = 1 << 10;

/// Follows tags through XML, byte by byte, remembering lengths only.
pub(super) struct Scan {
    most: usize,
    /// Bytes since the last angle bracket.
    piece: usize,
    /// Bytes since the cell or shared string began that is open.
    open: Option<usize>,
    in_tag: bool,
    /// The start of the tag that is open, without its bracket.
    tag: Vec<u8>,
    last: u8,
    /// Cells so far.
    pub(super) cells: u64,
    /// Shared strings so far.
    pub(super) strings: u64,
    /// Shared strings that there are said to be: the reader makes room for so many at once.
    pub(super) announced: u64,
    /// Tags so far.
    pub(super) tags: u64,
}

impl Scan {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            piece: 0,
            open: None,
            in_tag: false,
            tag: Vec::with_capacity(TAG),
            last: 0,
            cells: 0,
            strings: 0,
            announced: 0,
            tags: 0,
        }
    }

    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        for &byte in bytes {
            self.piece += 1;
            if let Some(open) = &mut self.open {
                *open += 1;
            }
            if self.piece > self.most || self.open.is_some_and(|open| open > self.most) {
                return Err("a tag, text or cell is too long");
            }
            match byte {
                // In UTF-16 no tag would be known as one.
                0 => return Err("it is not UTF-8"),
                b'<' => {
                    self.in_tag = true;
                    self.piece = 0;
                    self.tag.clear();
                }
                b'>' if self.in_tag => {
                    self.tag_ended();
                    self.in_tag = false;
                    self.piece = 0;
                }
                b'!' if self.in_tag && self.tag.is_empty() => {
                    return Err("it holds a comment, an entity or a raw section");
                }
                _ if self.in_tag && self.tag.len() < TAG => self.tag.push(byte),
                _ => {}
            }
            self.last = byte;
        }
        Ok(())
    }

    fn tag_ended(&mut self) {
        self.tags += 1;
        let closes = self.tag.first() == Some(&b'/');
        let is_empty = self.last == b'/';
        let name = self.tag[usize::from(closes)..]
            .split(|byte| byte.is_ascii_whitespace() || *byte == b'/')
            .next()
            .unwrap_or_default();
        let local = name.rsplit(|byte| *byte == b':').next().unwrap_or_default();
        match local {
            b"c" if !closes => self.cells += 1,
            b"si" if !closes => self.strings += 1,
            b"sst" if !closes => self.announced = self.announced.max(announced(&self.tag)),
            _ => {}
        }
        if matches!(local, b"c" | b"si") {
            self.open = (!closes && !is_empty).then_some(0);
        }
    }
}

/// The `uniqueCount` of a tag. Too many digits are the largest number of all, and so is a tag too long to be looked through.
fn announced(tag: &[u8]) -> u64 {
    const NAME: &[u8] = b"uniqueCount";
    if tag.len() == TAG {
        return u64::MAX;
    }
    let number = |at: usize| {
        let value = tag[at + NAME.len()..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
        let value = value.get(1..)?.trim_ascii_start();
        let digits = value.strip_prefix(b"+").unwrap_or(value);
        let digits = &digits[..digits.iter().take_while(|byte| byte.is_ascii_digit()).count()];
        let text = std::str::from_utf8(digits).ok().filter(|digits| !digits.is_empty())?;
        Some(text.parse().unwrap_or(u64::MAX))
    };
    let places = tag.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
    places.filter_map(|(at, _)| number(at)).max().unwrap_or(0)
}
