//! The module as text: how bytes travel in a JavaScript file, so that the file is small once it is compressed.
//!
//! Owns the encoding and the JavaScript that decodes it; it never compresses. Base64 would cut bytes into six bits,
//! so that repetitions in the module are lost in the text. Here a byte is one character, or two if it is large (few
//! are, in WebAssembly); compressed, that costs about as much as the module alone, and base64 a quarter more. All of
//! it is ASCII without quote and backslash, so that no encoding and no bundler changes it.

/// The first character, for the byte 0. The 92 from here on are all that ASCII has after the double quote.
const FIRST: u8 = b'#';
/// This many stand for a byte. The two after them add 90 and 180 to the one that follows.
const DIGITS: u8 = 90;
/// Stands for the backslash, which is one of them.
const FOR_BACKSLASH: u8 = b'!';

/// A JavaScript module whose default export makes the bytes, in an array of its own, at every call.
pub(crate) fn javascript(bytes: &[u8]) -> String {
    let (text, length) = (text(bytes), bytes.len());
    format!(
        r#"const text = "{text}";
export default () => {{
  const bytes = new Uint8Array({length});
  for (let at = 0, from = 0, more = 0; from < text.length; from++) {{
    const code = text.charCodeAt(from);
    const digit = (code === {FOR_BACKSLASH} ? {backslash} : code) - {FIRST};
    if (digit < {DIGITS}) {{
      bytes[at++] = more + digit;
      more = 0;
    }} else more = (digit - {DIGITS} + 1) * {DIGITS};
  }}
  return bytes;
}};
"#,
        backslash = b'\\',
    )
}

fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 5 / 4);
    for byte in bytes {
        if *byte >= DIGITS {
            text.push(character(DIGITS + byte / DIGITS - 1));
        }
        text.push(character(byte % DIGITS));
    }
    text
}

fn character(digit: u8) -> char {
    match FIRST + digit {
        b'\\' => FOR_BACKSLASH.into(),
        code => code.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes as the JavaScript does.
    fn bytes(text: &str) -> Vec<u8> {
        let (mut bytes, mut more) = (Vec::new(), 0);
        for code in text.bytes() {
            let digit = if code == FOR_BACKSLASH { b'\\' } else { code } - FIRST;
            if digit < DIGITS {
                bytes.push(more + digit);
                more = 0;
            } else {
                more = (digit - DIGITS + 1) * DIGITS;
            }
        }
        bytes
    }

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        assert_eq!(bytes(&text(&all)), all);
    }

    #[test]
    fn nothing_needs_an_escape() {
        let all: Vec<u8> = (0..=255).collect();
        assert!(text(&all).bytes().all(|code| code.is_ascii_graphic() && code != b'"' && code != b'\\'));
    }

    #[test]
    fn a_small_byte_takes_one_character() {
        assert_eq!(text(&[0, 57, 89]), "#!|");
        assert_eq!(text(&[90, 179, 180, 255]), "}#}|~#~n");
    }
}
