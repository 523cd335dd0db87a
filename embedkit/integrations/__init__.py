"""Encoders, rerankers and stores as other frameworks take them: ``embedkit.integrations.NAME``, each the only importer of its
framework, and imported by nothing else here."""
