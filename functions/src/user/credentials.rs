//! The password and the code of the second factor with which a signed-in user confirms an operation.

use shared::{
    Error, ParameterFault,
    domain::{
        otp::{SecondFactor, SecondFactorCode},
        password::{Hasher, Password, Verdict},
        session::SessionSecret,
        user::{self, User},
    },
    http::{
        Parameters,
        authentication::{AuthenticatedSession, Authenticator, Verified},
    },
    platform::clock::Timestamp,
    tokens::otp_secrets::OtpSecrets,
};

/// The parameters `password` and `otp_code` of a request.
pub struct Credentials {
    password: Password,
    otp_code: Result<Password, ParameterFault>,
    refusals: Refusals,
}

/// The errors of wrong credentials.
#[derive(Clone, Copy)]
enum Refusals {
    /// Those of the sign-in.
    SignIn,
    /// Those of the operations below `/resource/users`.
    Account,
}

impl Credentials {
    /// Reads the parameters for an operation whose module is `resource.user`, which refuses them
    /// with [`Error::AccountPasswordWrong`], [`Error::AccountCodeAbsent`] and
    /// [`Error::AccountCodeWrong`].
    pub fn read(parameters: &mut Parameters) -> Self {
        Self::read_with(parameters, Refusals::Account)
    }

    /// Reads the parameters for an operation that refuses them like a sign-in, with
    /// [`Error::InvalidCredentials`], [`Error::OtpMissing`] and [`Error::OtpInvalid`].
    pub fn read_as_at_sign_in(parameters: &mut Parameters) -> Self {
        Self::read_with(parameters, Refusals::SignIn)
    }

    fn read_with(parameters: &mut Parameters, refusals: Refusals) -> Self {
        Self {
            password: parameters.password("password"),
            otp_code: parameters.conditional_password("otp_code"),
            refusals,
        }
    }
}

impl Refusals {
    const fn wrong_password(self) -> Error {
        match self {
            Self::SignIn => Error::InvalidCredentials,
            Self::Account => Error::AccountPasswordWrong,
        }
    }

    const fn absent_code(self, fault: ParameterFault) -> Error {
        match self {
            Self::SignIn => Error::OtpMissing,
            Self::Account => Error::AccountCodeAbsent(fault),
        }
    }

    const fn wrong_code(self) -> Error {
        match self {
            Self::SignIn => Error::OtpInvalid,
            Self::Account => Error::AccountCodeWrong,
        }
    }
}

/// Verifies the credentials of signed-in users.
pub struct CredentialCheck {
    pub hasher: Hasher,
    pub otp_secrets: OtpSecrets,
}

impl CredentialCheck {
    /// Verifies the password and, while the second factor is on, the code. A wrong password or code
    /// counts on the session; an absent code, or text without the form of a code, does not.
    ///
    /// Returns the accepted code, which the write of the operation must mark as used; `None` while
    /// the second factor is off.
    pub async fn verify(
        &self,
        credentials: &Credentials,
        authenticator: &Authenticator,
        AuthenticatedSession { session, user, .. }: &AuthenticatedSession<user::Credentials>,
        now: Timestamp,
    ) -> Result<Option<SecondFactor>, Error> {
        let password = self.password_verdict(credentials, user);
        authenticator
            .verify_in_session(session, SessionSecret::Password, password)
            .await?;
        if !user.has_otp() {
            return Ok(None);
        }
        let refusals = credentials.refusals;
        let code = credentials
            .otp_code
            .as_ref()
            .map_err(|fault| refusals.absent_code(*fault))?;
        let code = SecondFactorCode::parse(code.reveal()).ok_or_else(|| refusals.wrong_code())?;
        let code = self.code_verdict(&code, refusals, user, now);
        let factor = authenticator
            .verify_in_session(session, SessionSecret::Code, code)
            .await?;
        Ok(Some(factor))
    }

    async fn password_verdict(
        &self,
        credentials: &Credentials,
        user: &User,
    ) -> Result<Verified<()>, Error> {
        let hash = Some(&user.credentials.password_hash);
        Ok(
            match self.hasher.verify(&credentials.password, hash).await? {
                Verdict::Wrong => Verified::Wrong(credentials.refusals.wrong_password()),
                Verdict::Right | Verdict::RightButOutdated => Verified::Right(()),
            },
        )
    }

    async fn code_verdict(
        &self,
        code: &SecondFactorCode,
        refusals: Refusals,
        user: &User,
        now: Timestamp,
    ) -> Result<Verified<SecondFactor>, Error> {
        let factor = self
            .otp_secrets
            .accepted(user, code, &self.hasher, now)
            .await?;
        Ok(Verified::right_or(factor, refusals.wrong_code()))
    }
}
