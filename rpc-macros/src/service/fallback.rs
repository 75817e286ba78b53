//! What is written in place of a service that breaks a rule: the errors, the trait as it stands, and a client, a
//! server and a module of the right names. Code that uses them is then not reported as well, as far as can be helped.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use crate::service::ast::Service;
use crate::service::expand;

/// Errors, trait and stand-ins.
pub(super) fn service(service: &Service<'_>, error: &syn::Error) -> TokenStream {
    let Service { client, server, cfgs, .. } = service;
    // That the two have one name may be the very error.
    let module = match service.module == service.item.ident {
        true => format_ident!("__{}", service.module),
        false => service.module.clone(),
    };
    let vis = &service.item.vis;
    let inner = expand::one_deeper(vis);
    let errors = error.to_compile_error();
    let item = expand::as_written(service.item);
    quote! {
        #errors
        #item

        #(#cfgs)*
        #[derive(::rpc_core::private::clone::Clone, ::rpc_core::private::fmt::Debug)]
        #vis struct #client;

        #(#cfgs)*
        #[allow(dead_code, unused_variables, missing_docs, unreachable_pub, clippy::all)]
        impl #client {
            pub fn new(channel: ::rpc_core::private::Channel) -> Self {
                Self
            }
            pub async fn connect(
                target: impl ::rpc_core::private::IntoTarget,
            ) -> ::rpc_core::private::result::Result<Self, ::rpc_core::private::Status> {
                ::rpc_core::private::result::Result::Ok(Self)
            }
            pub fn local<T>(service: T) -> Self {
                Self
            }
        }

        #(#cfgs)*
        #[derive(::rpc_core::private::clone::Clone, ::rpc_core::private::fmt::Debug)]
        #vis struct #server;

        #(#cfgs)*
        #[allow(dead_code, unused_variables, missing_docs, unreachable_pub, clippy::all)]
        impl #server {
            pub fn new<T>(service: T) -> Self {
                Self
            }
            pub fn from_arc<T>(service: ::rpc_core::private::Arc<T>) -> Self {
                Self
            }
        }

        #(#cfgs)*
        const _: () = {
            impl ::rpc_core::private::Service<::rpc_core::private::Request> for #server {
                type Response = ::rpc_core::private::Response;
                type Error = ::rpc_core::private::Status;
                type Future = ::rpc_core::private::BoxFuture<
                    ::rpc_core::private::result::Result<::rpc_core::private::Response, ::rpc_core::private::Status>,
                >;

                fn poll_ready(
                    &mut self,
                    _: &mut ::rpc_core::private::TaskContext<'_>,
                ) -> ::rpc_core::private::Poll<::rpc_core::private::result::Result<(), ::rpc_core::private::Status>> {
                    ::rpc_core::private::Poll::Ready(::rpc_core::private::result::Result::Ok(()))
                }

                fn call(&mut self, request: ::rpc_core::private::Request) -> Self::Future {
                    ::rpc_core::private::call(self, request)
                }
            }

            impl ::rpc_core::private::Serve for #server {
                fn descriptor(&self) -> &'static ::rpc_core::private::ServiceDescriptor {
                    &#module::DESCRIPTOR
                }

                fn handle(
                    &self,
                    arrived: &mut ::rpc_core::private::Arrived,
                    way: ::rpc_core::private::Way<'_>,
                ) -> ::rpc_core::private::Handled {
                    ::rpc_core::private::unknown_method(arrived)
                }
            }
        };

        #(#cfgs)*
        #[allow(dead_code, missing_docs, unreachable_pub)]
        #vis mod #module {
            #inner static DESCRIPTOR: ::rpc_core::private::ServiceDescriptor =
                ::rpc_core::private::ServiceDescriptor::new("", &[], &[], "");
        }
    }
}
