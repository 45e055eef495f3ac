//! Makes the keeper small: it is a large program of which it needs little from now on.

use std::{ffi::c_void, fs};

/// Gives back what starting has touched: freed memory, and pages of the program's file that are read again when needed.
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: returns free memory to the system, and may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
    let Ok(program) = fs::read_link("/proc/self/exe") else { return };
    let Some(program) = program.to_str() else { return };
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else { return };
    for (start, end) in maps.lines().filter_map(|line| unwritten(line, program)) {
        // SAFETY: a mapping of a file that nobody has written to, which is code, or what stands before it: a page of
        // it that is dropped is read from the file again, which can't be written to while it is executed.
        unsafe { libc::madvise(start as *mut c_void, end - start, libc::MADV_DONTNEED) };
    }
}

/// Where a line of `/proc/self/maps` says that there is code of the program, or the beginning of its file. What is
/// read-only further on was written to when it was relocated.
fn unwritten(line: &str, program: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let (rights, offset) = (fields.next()?, fields.next()?);
    let is_beginning = usize::from_str_radix(offset, 16).ok()? == 0;
    let is_ours = fields.nth(2)? == program && fields.next().is_none();
    let fits = is_ours && (rights == "r-xp" || (rights == "r--p" && is_beginning));
    fits.then_some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_and_the_beginning_of_the_program_are_dropped() {
        let found = |line| unwritten(line, "/bin/ten");
        assert_eq!(found("1000-3000 r--p 00000000 fe:01 7   /bin/ten"), Some((0x1000, 0x3000)));
        assert_eq!(found("3000-4000 r-xp 00002000 fe:01 7   /bin/ten"), Some((0x3000, 0x4000)));
        assert_eq!(found("4000-5000 r--p 00003000 fe:01 7   /bin/ten"), None, "relocated");
        assert_eq!(found("5000-6000 rw-p 00004000 fe:01 7   /bin/ten"), None);
        assert_eq!(found("5000-6000 r-xp 00000000 fe:01 7   /bin/ten (deleted)"), None);
        assert_eq!(found("7000-8000 r-xp 00000000 fe:01 7   /lib/libc.so.6"), None);
        assert_eq!(found("7000-8000 rw-p 00000000 00:00 0"), None);
    }

    #[test]
    fn a_program_goes_on_after_that() {
        let before = format!("{:?}", vec![1, 2, 3]);
        give_back();
        assert_eq!(format!("{:?}", vec![1, 2, 3]), before);
    }
}
