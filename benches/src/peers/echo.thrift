namespace rs bench

service EchoService {
    binary echo(1: binary payload),
    oneway void note(1: binary payload),
}
