//! TOML that lost its line breaks, as `curl -d @tenement.toml` sends it: they are put back where they must have been.
//!
//! ```text
//!   [service.api]command = "./api"autostart = truehealth = "/health"   ──►   four statements
//! ```
//!
//! Where the end of a value is not certain there is no answer: after a comment, which swallows what follows it, in a
//! text of several lines, and behind a number that the next key could belong to.

/// Deeper values are in no configuration.
const DEPTH_MAX: usize = 32;

/// The statements of a text without line breaks: headers, and keys with their values. `None`: it can't be told.
pub(super) fn statements(text: &str) -> Option<Vec<&str>> {
    let mut cursor = Cursor { rest: text };
    let mut found = Vec::new();
    loop {
        cursor.blanks();
        if cursor.rest.is_empty() {
            return Some(found);
        }
        let start = cursor.rest;
        cursor.statement()?;
        found.push(&start[..start.len() - cursor.rest.len()]);
    }
}

/// What is still to be read.
struct Cursor<'t> {
    rest: &'t str,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }

    fn skip(&mut self, mut wanted: impl FnMut(u8) -> bool) -> usize {
        let count = self.rest.bytes().take_while(|&byte| wanted(byte)).count();
        self.rest = &self.rest[count..];
        count
    }

    fn blanks(&mut self) {
        self.skip(|byte| matches!(byte, b' ' | b'\t'));
    }

    fn take(&mut self, text: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    fn statement(&mut self) -> Option<()> {
        if self.peek() != Some(b'[') {
            return self.pair(0);
        }
        let (open, close) = if self.rest.starts_with("[[") { ("[[", "]]") } else { ("[", "]") };
        self.take(open)?;
        self.blanks();
        self.key()?;
        self.take(close)
    }

    fn pair(&mut self, depth: usize) -> Option<()> {
        self.key()?;
        self.take("=")?;
        self.value(depth)
    }

    /// A key with its dots, and the blanks behind it.
    fn key(&mut self) -> Option<()> {
        loop {
            match self.peek()? {
                quote @ (b'"' | b'\'') => self.text(quote)?,
                _ => {
                    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
                    if self.skip(bare) == 0 {
                        return None;
                    }
                }
            }
            self.blanks();
            if self.take(".").is_none() {
                return Some(());
            }
            self.blanks();
        }
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.blanks();
        match self.peek()? {
            quote @ (b'"' | b'\'') => self.text(quote),
            b'[' => self.list("[", "]", |cursor| cursor.value(depth + 1)),
            b'{' => self.list("{", "}", |cursor| cursor.pair(depth + 1)),
            b't' => self.take("true"),
            b'f' => self.take("false"),
            _ => self.number(),
        }
    }

    fn list(&mut self, open: &str, close: &str, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(open)?;
        loop {
            self.blanks();
            if self.take(close).is_some() {
                return Some(());
            }
            item(self)?;
            self.blanks();
            if self.take(",").is_none() {
                return self.take(close);
            }
        }
    }

    /// A text of one line: one of several can't be told from one that lost its line breaks.
    fn text(&mut self, quote: u8) -> Option<()> {
        let mut escaped = false;
        let inside = self.rest.bytes().skip(1).take_while(|&byte| {
            let ends = byte == quote && !escaped;
            escaped = quote == b'"' && byte == b'\\' && !escaped;
            !ends
        });
        let end = 1 + inside.count();
        let triple = end == 1 && self.rest.as_bytes().get(2) == Some(&quote);
        self.rest = self.rest.get(end + 1..).filter(|_| !triple)?;
        Some(())
    }

    /// A decimal number that ends where it seems to.
    fn number(&mut self) -> Option<()> {
        let digits = |cursor: &mut Self| {
            let text = cursor.rest;
            let count = cursor.skip(|byte| byte.is_ascii_digit() || byte == b'_');
            (count > 0 && !text[..count].ends_with('_') && !text.starts_with('_')).then_some(&text[..count])
        };
        self.skip(|byte| matches!(byte, b'+' | b'-'));
        let whole = digits(self)?;
        if self.take(".").is_some() {
            digits(self)?;
        } else if whole == "0" && matches!(self.peek(), Some(b'x' | b'o' | b'b')) {
            return None;
        }
        match (self.peek(), self.rest.as_bytes().get(1)) {
            // An exponent, or a key.
            (Some(b'e' | b'E'), Some(b'+' | b'-' | b'0'..=b'9')) => None,
            (None | Some(b' ' | b'\t' | b',' | b'[' | b']' | b'}' | b'"' | b'\''), _) => Some(()),
            (Some(next), _) => next.is_ascii_alphabetic().then_some(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_put_together_again() {
        let file = "[settings]\ndata_dir = \"/x # y\"\nmax_restarts = 3\nexpires = 1.5\n  health_check_interval = 5\n\
            [service.api]\ncommand = 'run \"it\"'\nargs = [\n\"a\",\n'b',\n]\nautostart = true\nhealth = \"/h\\\"\"\n\
            idle_timeout = 30\n[service.\"web\".env]\nA = 1_000\n\"B\" = false\n[instances]\napi = [\"x\", \"y\"]";
        let stripped = file.replace('\n', "");
        let found = statements(&stripped).unwrap();
        let expected: Vec<String> = file
            .replace("[\n\"a\",\n'b',\n]", "[\"a\",'b',]")
            .lines()
            .map(|line| line.trim().to_owned())
            .collect();
        assert_eq!(found, expected);
        assert_eq!(statements("service.api.command = 'x'").unwrap().len(), 1);
        assert_eq!(statements(" ").unwrap().len(), 0);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_taken_apart() {
        for unclear in [
            "a = 1 # why[service.api]",
            "# mine[service.api]",
            "a = \"\"\"x\"\"\"b = 1",
            "a = '''x'''",
            "a = 3e5",
            "a = 3_b = 1",
            "a = 0x10",
            "a = 2024-01-01",
            "a = 34 = 1",
            "a = infb = 1",
            "a = \"unclosed",
            "a = ./api",
            "a",
            "[a",
            "{",
            "é = 1",
        ] {
            assert_eq!(statements(unclear), None, "{unclear}");
        }
        assert_eq!(statements(&format!("a = {}", "[".repeat(100_000))), None);
    }
}
