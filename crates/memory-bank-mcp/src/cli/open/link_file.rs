//! The file by which the browser gets the link of the console, which only its user can read.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A page that leads to the link, in a folder of its own. Dropping it deletes both.
pub(super) struct LinkFile {
    folder: TempDir,
    path: PathBuf,
}

impl LinkFile {
    pub(super) fn new(link: &str) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("memory-bank-console-");
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::fs::Permissions;
            use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
            builder.permissions(Permissions::from_mode(0o700));
            options.mode(0o600);
        }
        let folder = builder.tempdir()?;
        let path = folder.path().join("open.html");
        options.open(&path)?.write_all(page(link).as_bytes())?;
        Ok(Self { folder, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Deletes the file and its folder.
    pub(super) fn remove(self) -> io::Result<()> {
        self.folder.close()
    }
}

/// A page that leads to the link, by itself.
fn page(link: &str) -> String {
    let link = escaped(link);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta http-equiv=\"refresh\" content=\"0; url={link}\">\n<title>Memory bank</title>\n\
         <p><a href=\"{link}\">Open the console</a></p>\n</html>\n"
    )
}

fn escaped(text: &str) -> String {
    let pairs = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#39;")];
    pairs.iter().fold(text.to_owned(), |text, (character, entity)| text.replace(*character, entity))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_in_a_file_of_its_user_alone_until_it_is_dropped() {
        let file = LinkFile::new("http://127.0.0.1:1/app/#open=a\"b<c").unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(text.contains("url=http://127.0.0.1:1/app/#open=a&quot;b&lt;c\""), "{text}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(file.path()), mode(file.path().parent().unwrap())), (0o600, 0o700));
        }
        let folder = file.path().parent().unwrap().to_owned();
        drop(file);
        assert!(!folder.exists());
    }
}
