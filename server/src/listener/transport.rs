//! The bytes of a connection: as they come, or behind TLS. The handshake is part of the first
//! read or write, so that a slow one holds nobody up and ends with the patience for it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

pub(super) enum Wire {
    Plain(TcpStream),
    Handshake(Box<Accept<TcpStream>>),
    Secure(Box<TlsStream<TcpStream>>),
    /// The handshake failed.
    Over,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, tls: Option<TlsAcceptor>) -> Self {
        match tls {
            None => Self::Plain(stream),
            Some(acceptor) => Self::Handshake(Box::new(acceptor.accept(stream))),
        }
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Self::Handshake(accept) = self {
            match ready!(Pin::new(accept).poll(context)) {
                Ok(stream) => *self = Self::Secure(Box::new(stream)),
                Err(error) => {
                    tracing::debug!(%error, "a connection was not made secure");
                    *self = Self::Over;
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The stream behind a wire that is ready.
macro_rules! ready_stream {
    ($wire:expr, $context:expr, $stream:ident => $call:expr) => {{
        let wire = $wire.get_mut();
        ready!(wire.poll_ready($context))?;
        match wire {
            Wire::Plain(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Wire::Secure(stream) => {
                let $stream = Pin::new(stream.as_mut());
                $call
            }
            Wire::Handshake(_) | Wire::Over => {
                Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
            }
        }
    }};
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready_stream!(self, context, stream => stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready_stream!(self, context, stream => stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready_stream!(self, context, stream => stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            // So does the stream behind it.
            Self::Handshake(_) | Self::Secure(_) | Self::Over => true,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready_stream!(self, context, stream => stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing was said that would have to be ended.
        if matches!(&*self, Self::Handshake(_) | Self::Over) {
            return Poll::Ready(Ok(()));
        }
        ready_stream!(self, context, stream => stream.poll_shutdown(context))
    }
}
