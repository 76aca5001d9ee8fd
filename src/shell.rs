//! Words of the shell: commands that the tool prints survive being pasted into `sh`.

use std::path::Path;

/// Returns the path as one word of a POSIX shell, quoted only where it must be. A relative path that begins with `-`
/// gets `./` in front, so that no command takes it for an option.
///
/// Bytes that are no UTF-8 are replaced as by [`Path::display`]: such a path must be typed by hand.
pub(crate) fn word(path: &Path) -> String {
    let text = path.display().to_string();
    let text = if text.starts_with('-') { format!("./{text}") } else { text };
    // Only a byte 0 cannot be quoted, and no path has one.
    shlex::try_quote(&text).map(String::from).unwrap_or_else(|_| text.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_shell_reads_the_path_that_was_quoted() {
        let plain = ["findings/a-1.realmode", "/tmp/x_y/lib.so", "a=b", "", "-o", "~", "#a", "!a"];
        let odd =
            ["two words", "it's", "''", "\"$HOME\" `id` \\", "a;b&c|d>e", "*?[a]", "{a,b}", "new\nline", "\ttab", "ä"];
        for text in plain.into_iter().chain(odd) {
            let script = format!("printf '[%s]' {}", word(Path::new(text)));
            let output = Command::new("sh").args(["-c", &script]).output().expect("a shell");
            let read = String::from_utf8(output.stdout).expect("text");
            let expected = if text == "-o" { "./-o" } else { text };
            assert_eq!(read, format!("[{expected}]"), "{script}");
        }
        assert_eq!(
            word(Path::new("findings/a-1.realmode")),
            "findings/a-1.realmode",
            "no quotes where none are needed"
        );
    }
}
