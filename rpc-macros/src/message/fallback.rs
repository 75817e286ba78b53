//! What a wrong item gets: the same traits with nothing behind them, so that its users see no errors of their own.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Item;

use super::expand::in_scope;

/// Traits whose functions are never called, since the item's errors stop the build.
pub(super) fn stubs(item: &mut Item) -> TokenStream {
    let (ident, generics) = match item {
        Item::Struct(item) => (&item.ident, &item.generics),
        Item::Enum(item) => {
            // What is wrong with a number was said; the compiler would say it again.
            item.variants.iter_mut().for_each(|variant| variant.discriminant = None);
            (&item.ident, &item.generics)
        }
        _ => return TokenStream::new(),
    };
    if !generics.params.is_empty() {
        return TokenStream::new();
    }
    in_scope(&quote! {
        impl ::rpc_core::private::Message for #ident {
            fn encode(&self, _: &mut ::rpc_core::private::BytesMut) {}
            fn encoded_len(&self) -> usize { 0 }
            fn decode(
                _: ::rpc_core::private::Bytes,
            ) -> ::rpc_core::private::result::Result<Self, ::rpc_core::private::DecodeError> {
                loop {}
            }
        }

        impl ::rpc_core::private::serde::Serialize for #ident {
            fn serialize<__S: ::rpc_core::private::serde::Serializer>(
                &self,
                _: __S,
            ) -> ::rpc_core::private::result::Result<__S::Ok, __S::Error> {
                loop {}
            }
        }

        impl<'de> ::rpc_core::private::serde::Deserialize<'de> for #ident {
            fn deserialize<__D: ::rpc_core::private::serde::Deserializer<'de>>(
                _: __D,
            ) -> ::rpc_core::private::result::Result<Self, __D::Error> {
                loop {}
            }
        }

        ::rpc_core::private::field::message_field!(#ident);
    })
}
