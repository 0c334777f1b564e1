//! kitty's graphics protocol: pixels in base 64, in pieces.

use std::io::{self, Write};

use super::scale::Image;

/// One picture, drawn again and again.
const ID: u32 = 7_368_813;
/// A piece has so many characters at most.
const PIECE: usize = 4096;

pub(super) fn draw(out: &mut Vec<u8>, image: &Image, (columns, rows): (u32, u32)) {
    let text = base64(&image.rgb);
    let mut pieces = text.as_bytes().chunks(PIECE).peekable();
    let mut control =
        format!("a=T,f=24,q=2,C=1,i={ID},p=1,s={},v={},c={columns},r={rows},", image.width, image.height);
    while let Some(piece) = pieces.next() {
        let more = u8::from(pieces.peek().is_some());
        // Writing to a vector cannot fail.
        let _ = write!(out, "\x1b_G{control}m={more};");
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\x1b\\");
        control.clear();
    }
}

/// Removes the picture.
pub(super) fn clear(out: &mut dyn Write) -> io::Result<()> {
    write!(out, "\x1b_Ga=d,d=I,i={ID},q=2\x1b\\")
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let mut word = [0; 4];
        for (to, from) in word.iter_mut().skip(1).zip(three) {
            *to = *from;
        }
        let word = u32::from_be_bytes(word);
        for place in 0..4_usize {
            let letter = LETTERS.get((word >> (18 - 6 * place) & 63) as usize).copied().unwrap_or(b'A');
            text.push(if place > three.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_coded_as_others_code_them() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_picture_comes_in_pieces_of_which_the_last_says_so() {
        let image = Image { width: 100, height: 100, rgb: vec![1; 30_000] };
        let mut out = Vec::new();
        draw(&mut out, &image, (10, 5));
        let text = String::from_utf8(out).unwrap();
        let pieces: Vec<_> = text.split_terminator("\x1b\\").collect();
        assert_eq!(pieces.len(), 10);
        assert!(pieces[0].contains("s=100,v=100,c=10,r=5,m=1;") && pieces[9].starts_with("\x1b_Gm=0;"));
    }
}
