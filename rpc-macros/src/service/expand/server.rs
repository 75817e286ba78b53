//! `GreeterServer<T>`: the type, and that it is a service which knows its methods by their index.

use proc_macro2::TokenStream;
use quote::quote;

use crate::service::ast::{Method, Request, Service};
use crate::service::expand::messages::{in_one, unwrap_items};

/// The struct.
pub(super) fn type_of(service: &Service<'_>) -> TokenStream {
    let Service { server, cfgs, .. } = service;
    let (vis, ident) = (&service.item.vis, &service.item.ident);
    let docs = format!(
        " Serves an implementation of [`{ident}`]: what a server takes.\n\n Clones share the implementation."
    );
    quote! {
        #(#cfgs)*
        #[doc = #docs]
        #vis struct #server<T> {
            service: ::rpc_core::private::Arc<T>,
        }
    }
}

/// The constructors and the service. The parameter is called `__T`, for the trait may be called `T`.
pub(super) fn impls(service: &Service<'_>) -> TokenStream {
    let Service { server, module, .. } = service;
    let ident = &service.item.ident;
    let name = server.to_string();
    let arms = service.methods.iter().map(|method| arm(service, method));
    quote! {
        #[allow(dead_code)]
        impl<__T: #ident> #server<__T> {
            /// Serves this implementation.
            pub fn new(service: __T) -> Self {
                Self::from_arc(::rpc_core::private::Arc::new(service))
            }

            /// Serves this implementation, which others hold as well.
            pub fn from_arc(service: ::rpc_core::private::Arc<__T>) -> Self {
                Self { service }
            }
        }

        // Neither is derived: a derive would ask the implementation for the trait.
        impl<__T> ::rpc_core::private::clone::Clone for #server<__T> {
            fn clone(&self) -> Self {
                Self { service: ::rpc_core::private::Arc::clone(&self.service) }
            }
        }

        impl<__T> ::rpc_core::private::fmt::Debug for #server<__T> {
            fn fmt(&self, f: &mut ::rpc_core::private::fmt::Formatter<'_>) -> ::rpc_core::private::fmt::Result {
                f.debug_struct(#name).finish_non_exhaustive()
            }
        }

        impl<__T: #ident> ::rpc_core::private::Service<::rpc_core::private::Request> for #server<__T> {
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

        impl<__T: #ident> ::rpc_core::private::Serve for #server<__T> {
            fn descriptor(&self) -> &'static ::rpc_core::private::ServiceDescriptor {
                &#module::DESCRIPTOR
            }

            fn handle(
                &self,
                arrived: &mut ::rpc_core::private::Arrived,
                way: ::rpc_core::private::Way<'_>,
            ) -> ::rpc_core::private::Handled {
                match arrived.method().index {
                    #(#arms)*
                    _ => ::rpc_core::private::unknown_method(arrived),
                }
            }
        }
    }
}

/// One method of the dispatch.
fn arm(service: &Service<'_>, method: &Method<'_>) -> TokenStream {
    let Method { cfgs, marker, .. } = method;
    let (trait_, module, ident) = (&service.item.ident, &service.module, method.ident());
    let values = match &method.request {
        Request::Empty => quote!(),
        Request::Body(..) => quote!(message),
        Request::Fields(_) => {
            let names = method.args.iter().map(|(name, _)| name);
            quote!(#(message.#names),*)
        }
        Request::Stream(_, value) => unwrap_items(value, &quote!(message)),
    };
    let message = match &method.request {
        Request::Empty => quote!(_),
        Request::Stream(..) => quote!(message),
        _ => in_one(&quote!(message)),
    };
    quote! {
        #(#cfgs)*
        #module::#marker::INDEX => {
            ::rpc_core::private::serve::<#module::#marker, _, _, _>(
                &self.service,
                arrived,
                way,
                |service, #message| async move {
                    let given = <__T as #trait_>::#ident(&*service, #values).await;
                    (service, given)
                },
            )
        }
    }
}
