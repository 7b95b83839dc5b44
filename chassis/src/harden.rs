//! Process hardening, the first step of every `main`: denies access by other processes of the same user, disables
//! gaining privileges, and makes panics report their location only.

use std::io::Write as _;

use synapsor_codes::ErrorCode;

use crate::panics;
use crate::run::ExitError;

/// Hardens this process. On Linux, other processes of the same user cannot trace it or read it through `/proc`. It
/// cannot gain privileges by executing a file, and leaves no core file. On other systems only the core limit
/// applies. Also installs the TLS provider and the panic hook. A second call has no effect.
///
/// # Errors
/// When the kernel rejects a step; a process that cannot protect its secrets must not read them.
pub fn harden_process() -> Result<(), ExitError> {
    disable_ptrace().map_err(|errno| {
        ExitError::new(
            ErrorCode::HardeningRefused,
            format!("cannot harden the process: {errno}"),
        )
        .with_fix("allow prctl and setrlimit in the sandbox or seccomp profile of this process")
    })?;
    choose_tls_provider();
    std::panic::set_hook(Box::new(report_panic));
    Ok(())
}

/// Installs the TLS crypto provider of this process. For processes that do not call [`harden_process`].
pub fn choose_tls_provider() {
    // A second call fails because the provider is already installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

fn disable_ptrace() -> rustix::io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        rustix::thread::set_no_new_privs(true)?;
    }
    let none = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(rustix::process::Resource::Core, none)
}

/// Reports only the location: the panic message can contain any value, including secrets.
fn report_panic(info: &std::panic::PanicHookInfo<'_>) {
    if panics::is_contained() {
        return;
    }
    let mut stderr = std::io::stderr().lock();
    let _ = match info.location() {
        Some(location) => writeln!(
            stderr,
            "error[PANIC]: internal error at {}:{}",
            location.file(),
            location.line()
        ),
        None => writeln!(stderr, "error[PANIC]: internal error"),
    };
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn hardened_process_is_not_dumpable_and_gains_no_privileges() {
        harden_process().unwrap();
        harden_process().unwrap();
        assert_eq!(
            rustix::process::dumpable_behavior().unwrap(),
            rustix::process::DumpableBehavior::NotDumpable
        );
        assert_eq!(
            rustix::process::getrlimit(rustix::process::Resource::Core).maximum,
            Some(0)
        );
        // The flag applies to this thread and to threads that it starts later.
        assert!(rustix::thread::no_new_privs().unwrap());
        let _ = std::panic::take_hook();
    }
}
